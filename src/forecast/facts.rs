//! What is known of a metric beside its values: what was declared, else what its history has always kept to.
//!
//! Declared are a range and whether values are whole numbers, in the metric's settings. Where no least value is, a
//! history of at least [`ENOUGH`] values that never went below 0 tells it: counts, sizes, times and rates make up
//! nearly all metrics, and a forecast that drains a queue must end at its bottom. A share (its unit is percent or a
//! ratio, or its name ends so) has its whole as the greatest value likewise, unless it has exceeded it: 300 % of
//! processors are one of each of three. Whether values are whole numbers is not told by a history: where small counts
//! are forecast as what is expected of them, 0.3 an hour is right and 0 is not.

use crate::series::{MetricKind, MetricSettings, Zone};

/// Values of a history from which on it tells a range.
const ENOUGH: usize = 36;

/// Units of shares and how their metrics' names end, with the whole.
const SHARES: [(&str, &str, f64); 2] = [("percent", "_percent", 100.0), ("ratio", "_ratio", 1.0)];

/// What is known of a metric beside its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Where its clocks hang: when days, weeks and months begin.
    pub zone: Zone,
    /// Smallest possible value; points and bands stop there.
    pub min: Option<f64>,
    /// Largest possible value; points and bands stop there.
    pub max: Option<f64>,
    /// Whether values are whole numbers; points and bands are then too.
    pub is_integer: bool,
    /// What all of it is, of a share that could exceed that.
    pub whole: Option<f64>,
    /// Whether `min` and `max` are what the history kept to, rather than declared.
    pub is_learned: (bool, bool),
}

impl Facts {
    /// Nothing is known.
    pub const NONE: &'static Facts =
        &Facts { zone: Zone::UTC, min: None, max: None, is_integer: false, whole: None, is_learned: (false, false) };

    /// What is declared of the metric called `name`, a counter's as rates; `is_mean` when cells are means of values.
    pub fn declared(metric: &MetricSettings, name: &str, kind: MetricKind, is_mean: bool) -> Facts {
        let is_share = |(unit, ending, _): &&(&str, &str, f64)| {
            metric.unit.as_deref().map_or_else(|| name.ends_with(ending), |known| known == *unit)
        };
        Facts {
            zone: metric.zone(),
            min: metric.valid_min,
            max: metric.valid_max,
            is_integer: metric.integer && kind == MetricKind::Gauge && !is_mean,
            whole: SHARES.iter().find(is_share).map(|(.., whole)| *whole),
            ..Facts::default()
        }
    }

    /// With what `values` have always kept to, where nothing is declared; NaN is a gap. Values that are not whole show
    /// that they are not the counts they were declared to be: they are means of them.
    #[must_use]
    pub fn learned_from(&self, values: &[f64]) -> Facts {
        let known = || values.iter().copied().filter(|value| !value.is_nan());
        let mut facts = self.clone();
        facts.is_integer &= known().all(|value| value.fract() == 0.0);
        if known().nth(ENOUGH - 1).is_none() {
            return facts;
        }
        if facts.min.is_none() && known().all(|value| value >= 0.0) {
            (facts.min, facts.is_learned.0) = (Some(0.0), true);
        }
        let is_whole = |whole: &f64| known().all(|value| (0.0..=*whole).contains(&value));
        if let (None, Some(whole)) = (facts.max, facts.whole.filter(is_whole)) {
            (facts.max, facts.is_learned.1) = (Some(whole), true);
        }
        facts
    }

    /// Forgets what was learned and `value` refutes: the history had not yet seen what can be.
    pub fn take(&mut self, value: f64) {
        if self.is_learned.0 && self.min.is_some_and(|min| value < min) {
            (self.min, self.is_learned.0) = (None, false);
        }
        if self.is_learned.1 && self.max.is_some_and(|max| value > max) {
            (self.max, self.is_learned.1) = (None, false);
        }
    }
}

impl Default for Facts {
    fn default() -> Facts {
        Facts::NONE.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(metric: &MetricSettings, name: &str, values: &[f64]) -> (Option<f64>, Option<f64>) {
        let facts = Facts::declared(metric, name, MetricKind::Gauge, false).learned_from(values);
        (facts.min, facts.max)
    }

    #[test]
    fn a_history_that_never_went_below_zero_tells_the_floor_and_settings_win() {
        let plain = MetricSettings::default();
        let known: Vec<f64> = (0..ENOUGH).map(|nr| (nr % 7) as f64).collect();
        assert_eq!(learned(&plain, "queue", &known), (Some(0.0), None));
        assert_eq!(learned(&plain, "queue", &known[1..]), (None, None));
        assert_eq!(learned(&plain, "queue", &[&known[1..], &[f64::NAN]].concat()), (None, None));
        assert_eq!(learned(&plain, "degrees", &[&known[..], &[-0.1]].concat()), (None, None));
        for declared in [-5.0, 2.0, f64::NEG_INFINITY] {
            let settings = MetricSettings { valid_min: Some(declared), ..MetricSettings::default() };
            assert_eq!(learned(&settings, "queue", &known), (Some(declared), None));
        }
    }

    #[test]
    fn a_share_ends_at_its_whole_unless_it_has_exceeded_it() {
        let of_unit =
            |unit: &str| MetricSettings { unit: Some(unit.to_owned()), valid_min: Some(0.0), ..Default::default() };
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(learned(&of_unit("percent"), "battery", &values), (Some(0.0), Some(100.0)));
        assert_eq!(learned(&MetricSettings::default(), "battery_percent", &values).1, Some(100.0));
        assert_eq!(learned(&MetricSettings::default(), "busy_ratio", &values).1, None);
        assert_eq!(learned(&of_unit("percent"), "cpu", &[&values[..], &[300.0]].concat()).1, None);
        // What is counted in bytes is no share, whatever it is called.
        assert_eq!(learned(&of_unit("bytes"), "quota_percent", &values).1, None);
    }

    #[test]
    fn whole_numbers_are_neither_rates_nor_means() {
        let metric = MetricSettings { integer: true, ..MetricSettings::default() };
        let is_integer = |kind, is_mean| Facts::declared(&metric, "pods", kind, is_mean).is_integer;
        assert!(is_integer(MetricKind::Gauge, false));
        assert!(!is_integer(MetricKind::Counter, false) && !is_integer(MetricKind::Gauge, true));
        let facts = Facts { is_integer: true, ..Facts::default() };
        assert!(facts.learned_from(&[1.0, f64::NAN, -2.0]).is_integer && !facts.learned_from(&[1.0, 2.5]).is_integer);
    }

    #[test]
    fn only_what_was_learned_can_be_refuted() {
        let after = |facts: &Facts, value: f64| {
            let mut facts = facts.clone();
            facts.take(value);
            (facts.min, facts.max, facts.is_learned)
        };
        let learned = Facts { whole: Some(100.0), ..Facts::default() }.learned_from(&[1.0; ENOUGH]);
        let whole = (Some(0.0), Some(100.0), (true, true));
        assert_eq!([after(&learned, 0.0), after(&learned, f64::NAN)], [whole, whole]);
        assert_eq!(after(&learned, -1.0), (None, Some(100.0), (false, true)));
        assert_eq!(after(&learned, 101.0), (Some(0.0), None, (true, false)));
        let declared = Facts { min: Some(0.0), ..Facts::default() };
        assert_eq!(after(&declared, -1.0), (Some(0.0), None, (false, false)));
    }
}
