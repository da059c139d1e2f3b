//! A small bounded minimiser for losses of a few parameters.
//!
//! In: a loss, a starting point, a box. Out: the best point tried; never worse than the start.
//! Source: Nelder and Mead, "A simplex method for function minimization", 1965, with the dimension-adaptive
//! coefficients of Gao and Han, "Implementing the Nelder-Mead simplex algorithm with adaptive parameters", 2012.
//! Points outside the box are moved onto it. Deterministic: the same loss gives the same answer, bit for bit.

/// One parameter's box and where to start in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub least: f64,
    pub most: f64,
    pub start: f64,
}

impl Bounds {
    pub fn new(least: f64, most: f64, start: f64) -> Bounds {
        Bounds { least, most, start }
    }
}

/// How far the first simplex reaches from its start, as a share of the box.
pub(super) const REACH: f64 = 0.15;

/// A relative spread of the simplex's losses below which another step would not pay: a tenth of it takes a fifth more
/// walks and changes no forecast that can be told from this.
const TOLERANCE: f64 = 1e-4;

/// Numbers that are searched for at most.
const MOST_DIMS: usize = 8;

/// A point of the box, of which the first few numbers count.
type Point = [f64; MOST_DIMS];

/// The point of the box with the smallest loss found in `max_evaluations` from a simplex that reaches over a share
/// `reach` of the box; losses that are not finite count as worst. The box has [`MOST_DIMS`] sides at most.
pub(super) fn minimise(
    bounds: &[Bounds],
    reach: f64,
    max_evaluations: usize,
    mut loss: impl FnMut(&[f64]) -> f64,
) -> Vec<f64> {
    let n_dims = bounds.len();
    let d = n_dims.max(2) as f64;
    let (expansion, contraction, shrink) = (1.0 + 2.0 / d, 0.75 - 0.5 / d, 1.0 - 1.0 / d);
    let mut n_evaluations = 0;
    let mut evaluate = |mut at: Point| {
        for (value, bound) in at.iter_mut().zip(bounds) {
            *value = value.clamp(bound.least, bound.most);
        }
        n_evaluations += 1;
        let found = loss(&at[..n_dims]);
        (if found.is_finite() { found } else { f64::MAX }, at, n_evaluations)
    };
    let mut start = [0.0; MOST_DIMS];
    start.iter_mut().zip(bounds).for_each(|(start, bound)| *start = bound.start);
    let mut simplex: Vec<(f64, Point)> = Vec::with_capacity(n_dims + 1);
    for corner in 0..=n_dims {
        let mut at = start;
        if corner > 0 {
            let bound = bounds[corner - 1];
            let reach = reach * (bound.most - bound.least);
            let forwards = bound.start + reach <= bound.most;
            at[corner - 1] += if forwards { reach } else { -reach };
        }
        let (found, at, _) = evaluate(at);
        simplex.push((found, at));
    }
    loop {
        simplex.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (best, worst) = (simplex[0].0, simplex[n_dims].0);
        let spent = n_dims + 1;
        if worst - best <= TOLERANCE * best.abs() || n_dims == 0 {
            break;
        }
        let centre: Point =
            std::array::from_fn(|dim| simplex[..n_dims].iter().map(|(_, at)| at[dim]).sum::<f64>() / n_dims as f64);
        let farthest = simplex[n_dims].1;
        let along =
            |share: f64| -> Point { std::array::from_fn(|dim| centre[dim] + share * (centre[dim] - farthest[dim])) };
        let (reflected, reflected_at, mut used) = evaluate(along(1.0));
        if reflected < best {
            let (expanded, expanded_at, _) = evaluate(along(expansion));
            simplex[n_dims] = if expanded < reflected { (expanded, expanded_at) } else { (reflected, reflected_at) };
        } else if reflected < simplex[n_dims - 1].0 {
            simplex[n_dims] = (reflected, reflected_at);
        } else {
            let share = if reflected < worst { contraction } else { -contraction };
            let (contracted, contracted_at, now) = evaluate(along(share));
            used = now;
            if contracted < worst.min(reflected) {
                simplex[n_dims] = (contracted, contracted_at);
            } else {
                let anchor = simplex[0].1;
                for (found, at) in simplex.iter_mut().skip(1) {
                    let closer = std::array::from_fn(|dim| anchor[dim] + shrink * (at[dim] - anchor[dim]));
                    let (again, again_at, now) = evaluate(closer);
                    (*found, *at) = (again, again_at);
                    used = now;
                }
            }
        }
        if used + spent > max_evaluations {
            simplex.sort_by(|a, b| a.0.total_cmp(&b.0));
            break;
        }
    }
    simplex[0].1[..n_dims].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_bottom_of_a_curved_valley() {
        let bounds = [Bounds::new(-2.0, 2.0, -1.0), Bounds::new(-2.0, 2.0, 1.0)];
        let found =
            minimise(&bounds, REACH, 2000, |at| (1.0 - at[0]).powi(2) + 100.0 * (at[1] - at[0] * at[0]).powi(2));
        assert!((found[0] - 1.0).abs() < 0.02 && (found[1] - 1.0).abs() < 0.04, "{found:?}");
    }

    #[test]
    fn it_stays_in_the_box_and_survives_losses_that_are_not_numbers() {
        let bounds = [Bounds::new(0.0, 1.0, 0.5)];
        assert_eq!(minimise(&bounds, REACH, 200, |at| -at[0]), [1.0]);
        assert_eq!(minimise(&bounds, REACH, 200, |_| f64::NAN), [0.5]);
        assert_eq!(minimise(&[], REACH, 200, |_| 1.0), [] as [f64; 0]);
    }
}
