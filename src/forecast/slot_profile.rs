//! Slot profile: what each hour of the week usually is above or below its week.
//!
//! In: at least two of the longest cycle; gaps are left out. Out: the median of each slot's last values, taken relative to
//! the median of their cycle, on top of the level now. It knows its own spread: [`Fitted::quantile_into`] gives any
//! quantile, over the slot's values and, with less weight, its neighbours'.
//!
//! Values are kept in 32 bits, relative to the level and to the reach of the history: a ten millionth of that is nothing,
//! and a week of hours stays below 4 KiB.

use std::collections::BTreeMap;

use super::compact::{COARSE, Kept};
use super::model::{FitError, Fitted, Forecaster, Updated};
use super::past::{Past, Regressors};
use super::profile::mended;
use super::scale::Scale;
use crate::series::{Season, median, median_of};

/// Values that each slot keeps, the last ones.
const KEPT: usize = 5;

/// What a slot's own values, its neighbours' and theirs count for.
const NEAR: [f64; 3] = [1.0, 0.5, 0.25];

/// The cycles that the level looks back on.
const OF_LEVEL: f64 = 1.0;

/// With the longest of `seasons`.
#[derive(Clone, Debug)]
pub(super) struct SlotProfile {
    pub seasons: Vec<Season>,
}

#[derive(Clone, Debug)]
struct FittedSlotProfile {
    scale: Scale,
    level: f64,
    // `KEPT` cells per slot, NaN where fewer were seen; `kept[next * KEPT..]` belongs to the coming step.
    kept: Vec<f32>,
    middles: Kept,
    next: usize,
    // Where `kept` is let go of: how far values usually were from their middles.
    thinned: Option<f64>,
}

impl Forecaster for SlotProfile {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let season = self.seasons.iter().map(|season| season.steps()).max().ok_or(FitError::NoSeason)?;
        let tail = past.tail((KEPT + 1) * season);
        let n_values = tail.len() - tail.n_gaps();
        if tail.len() < 2 * season || n_values < season {
            return Err(FitError::TooShort { needed: 2 * season, got: n_values });
        }
        let scale = Scale::centred(tail.values());
        let cells: Vec<f64> = tail.values().iter().map(|&value| scale.apply(value)).collect();
        let whole = &cells[cells.len() % season..];
        let n_cycles = whole.len() / season;
        let kept = vec![f32::NAN; season * KEPT];
        let mut fitted = FittedSlotProfile { scale, level: 0.0, kept, middles: Kept::none(), next: 0, thinned: None };
        // A cycle nearly all seen has a median of its own; of others that would be one of the slots that they have.
        let is_seen = |cycle: &[f64]| 4 * cycle.iter().filter(|value| !value.is_nan()).count() >= 3 * season;
        let level_of = |cycle: &[f64], usual: Option<&[f64]>| match usual {
            _ if is_seen(cycle) => middle_of(cycle.iter().copied()),
            Some(usual) => middle_of(cycle.iter().zip(usual).map(|(value, usual)| value - usual)),
            None => f64::NAN,
        };
        let mut stand_on = |usual: Option<&[f64]>| {
            for (nr, cycle) in whole.chunks_exact(season).enumerate() {
                fitted.put((nr + KEPT).checked_sub(n_cycles), cycle, level_of(cycle, usual));
            }
            mended(&(0..season).map(|slot| fitted.middle(slot)).collect::<Vec<f64>>())
        };
        let mut middles = stand_on(None);
        if !whole.chunks_exact(season).all(is_seen) {
            middles = stand_on(Some(&middles));
        }
        fitted.middles = Kept::of(&middles);
        Ok(Box::new(fitted))
    }
}

/// The median of what is not a gap; NaN without.
fn middle_of(values: impl Iterator<Item = f64>) -> f64 {
    median_of(values).unwrap_or(f64::NAN)
}

impl FittedSlotProfile {
    /// Keeps the values of `cycle` beside its level, at a place among the last if it has one, and stands on that level;
    /// passes over a cycle of gaps.
    fn put(&mut self, place: Option<usize>, cycle: &[f64], level: f64) {
        if level.is_nan() {
            return;
        }
        self.level = level;
        let Some(place) = place else { return };
        for (slot, value) in cycle.iter().enumerate() {
            self.kept[slot * KEPT + place] = (value - level) as f32;
        }
    }

    fn of_slot(&self, slot: usize) -> &[f32] {
        &self.kept[slot * KEPT..(slot + 1) * KEPT]
    }

    /// The median of a slot's values; NaN without one.
    fn middle(&self, slot: usize) -> f64 {
        middle_of(self.of_slot(slot).iter().map(|&v| f64::from(v)))
    }

    /// The value of the slot and its neighbours below which `share` of the weight lies.
    fn quantile(&self, slot: usize, share: f64) -> f64 {
        let n = self.middles.len();
        let reach = (NEAR.len() - 1).min((n - 1) / 2);
        let mut seen: Vec<(f64, f64)> = Vec::with_capacity((2 * reach + 1) * KEPT);
        for away in 0..=2 * reach {
            let near = (slot + n + away - reach) % n;
            // A neighbour stands for how far off this slot may be, not for where it is.
            let (here, middle) = (self.middles.get(slot), self.middles.get(near));
            let values = || self.of_slot(near).iter().filter(|value| !value.is_nan());
            let k = values().count() as f64;
            // Values lie nearer to a middle made of them than the next one will.
            let wider = if k > 1.0 { ((k + 1.0) / (k - 1.0)).sqrt() } else { 1.0 };
            let weight = NEAR[away.abs_diff(reach)];
            seen.extend(values().map(|&value| (here + (f64::from(value) - middle) * wider, weight)));
        }
        seen.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = seen.iter().map(|(_, weight)| weight).sum();
        let mut below = 0.0;
        let mut last: Option<(f64, f64)> = None;
        for (value, weight) in seen {
            // Each value stands at the middle of its weight, lines between.
            let at = (below + weight / 2.0) / total;
            below += weight;
            if at >= share {
                return last.map_or(value, |(before, from)| {
                    before + (value - before) * (share - from) / (at - from).max(f64::MIN_POSITIVE)
                });
            }
            last = Some((value, at));
        }
        last.map_or(self.middles.get(slot), |(value, _)| value)
    }
}

impl Fitted for FittedSlotProfile {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        for (ahead, point) in points.iter_mut().enumerate() {
            let slot = (self.next + ahead) % self.middles.len();
            *point = self.scale.undo(self.level + self.middles.get(slot));
        }
    }

    fn quantile_into(&self, share: f64, _known: Regressors<'_>, points: &mut [f64]) -> bool {
        if self.thinned.is_some() {
            return false;
        }
        for (ahead, point) in points.iter_mut().enumerate() {
            let slot = (self.next + ahead) % self.middles.len();
            *point = self.scale.undo(self.level + self.quantile(slot, share));
        }
        true
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        let slot = self.next;
        self.next = (slot + 1) % self.middles.len();
        let scaled = self.scale.apply(value);
        if scaled.abs() < 1e6 {
            let off = scaled - self.level;
            let middle = self.middles.get(slot);
            self.level += (off - middle) / (OF_LEVEL * self.middles.len() as f64);
            if let Some(usual) = self.thinned {
                // As a median of the last few moves: by a share of how far what comes is off, however far it lies.
                let moved = 2.0 * (off - middle).clamp(-usual, usual) / (KEPT as f64 + 1.0);
                self.middles.set(slot, middle + moved);
                return Updated::Filtered;
            }
            let kept = &mut self.kept[slot * KEPT..(slot + 1) * KEPT];
            kept.rotate_left(1);
            kept[KEPT - 1] = off as f32;
            self.middles.set(slot, self.middle(slot));
        }
        Updated::Filtered
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        BTreeMap::from([("season", self.middles.len() as f64), ("level", self.scale.undo(self.level))])
    }

    fn thin(&mut self, tolerance: f64) {
        self.middles.coarsen(COARSE * tolerance / self.scale.unit());
        if self.thinned.is_none() {
            let offs = self.middles.iter().enumerate().flat_map(|(slot, middle)| {
                self.of_slot(slot).iter().map(move |value| (f64::from(*value) - middle).abs())
            });
            let offs: Vec<f64> = offs.filter(|off| !off.is_nan()).collect();
            self.thinned = Some(2.0 * median(&offs).unwrap_or(0.0));
            self.kept = Vec::new();
        }
    }

    fn n_bytes(&self) -> usize {
        size_of_val(self.kept.as_slice()) + self.middles.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::forecast::tests::Noise;
    use crate::series::Step;

    fn fit(values: &[f64], season: usize) -> Box<dyn Fitted> {
        SlotProfile { seasons: Season::new(season).into_iter().collect() }
            .fit(&Past::new(0, Step::seconds(3600), values))
            .unwrap()
    }

    #[test]
    fn medians_of_slots_stand_on_the_last_level() {
        // Cycles with medians 2, 3 and 14; relative to them the slots are -1, 0, 5 / -1, 0, 9 / -1, 0, 6.
        let fitted = fit(&[1., 2., 7., 2., 3., 12., 13., 14., 20.], 3);
        let points = fitted.points(Horizon::new(4).unwrap());
        for (point, expected) in points.iter().zip([13.0, 14.0, 20.0, 13.0]) {
            assert!((point - expected).abs() < 1e-5, "{points:?}");
        }
    }

    #[test]
    fn a_last_cycle_of_a_few_slots_tells_its_level_by_what_they_usually_are() {
        // A day of -60 to 60 on a level of 100, and 110 after two days and a half without a value.
        let at = |t: usize| 100.0 + 60.0 * (std::f64::consts::TAU * (t % 24) as f64 / 24.0).sin();
        let mut values: Vec<f64> = (0..240).map(at).collect();
        values[177..237].fill(f64::NAN);
        values[237..].iter_mut().for_each(|value| *value += 10.0);
        let points = fit(&values, 24).points(Horizon::new(24).unwrap());
        for (ahead, point) in points.iter().enumerate() {
            assert!((point - at(240 + ahead) - 10.0).abs() < 0.5, "{ahead}: {point} {}", at(240 + ahead));
        }
    }

    #[test]
    fn quantiles_hold_the_share_they_promise_and_do_not_cross() {
        let mut noise = Noise::seeded(8);
        let at = |t: usize| 50.0 + 20.0 * (std::f64::consts::TAU * (t % 24) as f64 / 24.0).sin();
        let values: Vec<f64> = (0..24 * 40).map(|t| at(t) + noise.normal()).collect();
        let fitted = fit(&values, 24);
        let mut bounds = [[0.0; 24]; 3];
        for (points, share) in bounds.iter_mut().zip([0.1, 0.5, 0.9]) {
            assert!(fitted.quantile_into(share, Regressors::NONE, points));
        }
        let [lower, middle, upper] = bounds;
        let mut inside = 0;
        for t in 0..24 * 40 {
            let value = at(t) + noise.normal();
            inside += usize::from((lower[t % 24]..=upper[t % 24]).contains(&value));
            assert!(lower[t % 24] <= middle[t % 24] && middle[t % 24] <= upper[t % 24]);
        }
        let share = inside as f64 / 960.0;
        assert!((0.68..0.88).contains(&share), "{share}");
    }

    #[test]
    fn a_week_of_hours_is_small_and_moves_on() {
        let at = |t: usize| (t % 168) as f64 + if t >= 1008 { 30.0 } else { 0.0 };
        let values: Vec<f64> = (0..1008).map(at).collect();
        let mut fitted = fit(&values, 168);
        assert!(fitted.n_bytes() <= 4096, "{}", fitted.n_bytes());
        (1008..1008 + 168 * 5).for_each(|t| assert_eq!(fitted.update(at(t), Regressors::NONE), Updated::Filtered));
        let points = fitted.points(Horizon::new(168).unwrap());
        let error = points.iter().enumerate().map(|(ahead, p)| (p - at(1848 + ahead)).abs()).sum::<f64>() / 168.0;
        assert!(error < 12.0, "{error}");
    }
}
