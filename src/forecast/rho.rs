//! Rho: an autoregression that adapts to what the series is.
//!
//! In: a history, in logarithms where it is well above zero. Out: the recursion, continued. The value before counts where
//! the series wanders, the one a cycle ago where it resembles itself, the places of the cycle where they differ; with
//! several seasons, each adds the values a cycle and a cycle and a step ago. A first coefficient near 1 becomes 1 and the
//! drift is shrunk by its uncertainty; a negative one goes, and every lag with it.
//! Source: Doornik, Castle and Hendry, "Card forecasts for M4", International Journal of Forecasting 36, 2020. The lags
//! for several seasons are ours, as theirs are not published.

use super::card_data::{Nature, Stretch};
use super::continued::Continued;
use super::lagged::{Design, Explained};
use super::model::{FitError, Fitted, Forecaster};
use super::past::Past;
use super::recursion::Recursion;
use crate::series::Season;

/// A first coefficient that may be as large as this, by two standard errors, is taken for 1; with several seasons the
/// bound is closer to 1, as much of what looks like a root is the longer season.
const ROOT: [f64; 2] = [0.9, 0.99];

/// How many standard errors of the drift do not count.
const OF_DRIFT: f64 = 1.645;

const NAMES: [&str; 2] = ["first_coefficient", "season"];

/// Uses all of `seasons`.
#[derive(Clone, Debug)]
pub(super) struct Rho {
    pub seasons: Vec<Season>,
    /// Whether values astray count for less.
    pub is_calm: bool,
}

/// Lags of the seasons: the value before first, when the series wanders.
pub(super) fn lags_of(seasons: &[usize], nature: Nature) -> Vec<usize> {
    let mut lags = Vec::new();
    if nature.wanders {
        lags.push(1);
        match seasons {
            [one] if nature.comes_back => lags.push(*one),
            [_] | [] => {}
            several => lags.extend(several.iter().flat_map(|&steps| [steps, steps + 1])),
        }
    }
    lags.sort_unstable();
    lags.dedup();
    lags
}

/// The drift that is beyond doubt.
pub(super) fn shrunk_drift(explained: &Explained) -> f64 {
    let constant = explained.constant();
    let doubt = OF_DRIFT * explained.deviation / (explained.n_rows.max(2) as f64 - 1.0).sqrt();
    constant.signum() * (constant.abs() - doubt).max(0.0)
}

/// The recursion and its first coefficient; `None` when there are too few values.
fn recursion(values: &[f64], seasons: &[usize], nature: Nature, is_calm: bool) -> Option<(Recursion, f64)> {
    let lags = lags_of(seasons, nature);
    let n_places = if nature.has_profile { seasons.first().copied().unwrap_or(1) } else { 1 };
    let levels = Design::of(&lags, n_places).explain_as(values, is_calm)?;
    let first = levels.on_lags.first().copied().unwrap_or(0.0);
    if nature.wanders && first < 0.0 {
        let levels = Design::of(&[], n_places).explain_as(values, is_calm)?;
        return Some((Recursion::new(&[], &[], &levels.effects, values), 0.0));
    }
    let root = ROOT[usize::from(seasons.len() > 1)];
    if nature.wanders && first > 0.5 && first + 2.0 * levels.first_error > root {
        let differences: Vec<f64> =
            std::iter::once(f64::NAN).chain(values.windows(2).map(|pair| pair[1] - pair[0])).collect();
        if let Some(explained) = Design::of(&lags[1..], n_places).explain_as(&differences, is_calm) {
            let by = shrunk_drift(&explained) - explained.constant();
            let effects: Vec<f64> = explained.effects.iter().map(|effect| effect + by).collect();
            return Some((Recursion::integrated(&lags[1..], &explained.on_lags, &effects, values, &differences), 1.0));
        }
    }
    Some((Recursion::new(&lags, &levels.on_lags, &levels.effects, values), first))
}

/// The recursion with as many of the seasons, the shortest first, as the stretch can bear.
pub(super) fn bearable(stretch: &mut Stretch, is_calm: bool) -> Result<(Recursion, f64, Nature), FitError> {
    loop {
        let nature = Nature::of(&stretch.values, stretch.season());
        if let Some((recursion, first)) = recursion(&stretch.values, &stretch.seasons, nature, is_calm) {
            return Ok((recursion, first, nature));
        }
        if stretch.seasons.pop().is_none() {
            return Err(FitError::TooShort { needed: 3 * super::card_data::LEAST_VALUES, got: stretch.values.len() });
        }
    }
}

impl Forecaster for Rho {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let mut stretch = Stretch::of(past, &self.seasons)?;
        let (mut recursion, first, _) = bearable(&mut stretch, self.is_calm)?;
        (0..stretch.n_silent).for_each(|_| recursion.take(f64::NAN));
        let settings = Box::new([first, stretch.season() as f64]);
        Ok(Box::new(Continued { transform: stretch.transform, recursion, names: &NAMES, settings }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::forecast::air_passengers::AIR_PASSENGERS;
    use crate::forecast::card_data::changes;
    use crate::forecast::tests::Noise;
    use crate::series::Step;

    /// The paper's rules in numpy.
    #[test]
    fn it_gives_the_worked_numbers() {
        let y = AIR_PASSENGERS.map(f64::ln);
        let levels = Design::of(&[1, 12], 12).explain(&y, 0).unwrap();
        let found = [levels.on_lags[0], levels.first_error, levels.on_lags[1], levels.deviation];
        for (found, expected) in found.iter().zip([0.782458, 0.054405, 0.202672, 0.036669]) {
            assert!((found - expected).abs() < 5.1e-7, "{found} {expected}");
        }
        let rho = Rho { seasons: Season::new(12).into_iter().collect(), is_calm: false };
        let points =
            rho.fit(&Past::new(0, Step::seconds(1), &AIR_PASSENGERS)).unwrap().points(Horizon::new(6).unwrap());
        for (point, expected) in points.iter().zip([444.15, 432.16, 487.09, 480.61, 492.15, 566.21]) {
            assert!((point - expected).abs() < 0.0051, "{points:?}");
        }
    }

    #[test]
    fn noise_has_no_lags_and_a_walk_has_a_root() {
        let walk = Noise::seeded(3).walk(400, 1.0);
        let fit = |values: &[f64]| {
            Rho { seasons: vec![], is_calm: false }.fit(&Past::new(0, Step::seconds(1), values)).unwrap()
        };
        assert_eq!(fit(&walk).settings()["first_coefficient"], 1.0);
        let noise = changes(&walk);
        let fitted = fit(&noise);
        assert_eq!(fitted.settings()["first_coefficient"], 0.0);
        let mean = noise.iter().sum::<f64>() / noise.len() as f64;
        assert!((fitted.points(Horizon::new(1).unwrap())[0] - mean).abs() < 1e-9);
    }

    #[test]
    fn values_astray_do_not_bend_it() {
        let at = |t: usize| 20.0 + 6.0 * (std::f64::consts::TAU * (t % 7) as f64 / 7.0).sin();
        let mut noise = Noise::seeded(2);
        let mut values: Vec<f64> = (0..700).map(|t| at(t) + 0.2 * noise.normal()).collect();
        (9..690).step_by(31).for_each(|t| values[t] = 90.0);
        let error = |is_calm: bool| {
            let rho = Rho { seasons: Season::new(7).into_iter().collect(), is_calm };
            let points =
                rho.fit(&Past::new(0, Step::seconds(3600), &values)).unwrap().points(Horizon::new(56).unwrap());
            points.iter().enumerate().map(|(ahead, point)| (point - at(700 + ahead)).abs()).sum::<f64>() / 56.0
        };
        assert!(error(true) < 0.5 * error(false), "{} {}", error(true), error(false));
    }

    #[test]
    fn without_lags_values_astray_do_not_bend_it_either() {
        let mut values: Vec<f64> = (0..400).map(|t| if t % 2 == 0 { 9.0 } else { 11.0 }).collect();
        (20..400).step_by(31).for_each(|t| values[t] = 50.0);
        let nature = Nature { wanders: true, has_profile: false, comes_back: false };
        let off = |is_calm: bool| {
            let (recursion, first) = recursion(&values, &[], nature, is_calm).unwrap();
            assert_eq!(first, 0.0);
            let mut points = [0.0];
            recursion.points_into(&mut points, |point| point);
            (points[0] - 10.0).abs()
        };
        assert!(off(true) < 0.5 * off(false), "{} {}", off(true), off(false));
    }
}
