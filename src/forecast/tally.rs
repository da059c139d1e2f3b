//! How right forecasts were: sums over judged values, from which every figure of accuracy follows.
//!
//! In: what came, what was forecast, and the band. Out: MASE, sMAPE, MSIS, coverage, bias. Tallies add up, so leads
//! join to groups, origins to series and series to a whole without a figure ever being averaged twice.
//!
//! Sources: MASE from Hyndman and Koehler, "Another look at measures of forecast accuracy" (2006); MSIS from Gneiting
//! and Raftery, "Strictly proper scoring rules, prediction, and estimation" (2007), scaled as the M4 competition did.

use super::model::Coverage;
use super::outlook::{Accuracy, Forecast};

/// One value that came, and what had been said of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// What came; NaN is not judged.
    pub value: f64,
    /// What was expected.
    pub point: f64,
    /// The band's lower and upper edge and its promise; `None` where none was promised.
    pub band: Option<(f64, f64, Coverage)>,
    /// What the yardstick, the seasonal naive, expected.
    pub naive: Option<f64>,
    /// What errors are divided by: the error of seasonal naive one cycle ahead, on the values before the forecast.
    pub scale: Option<f64>,
}

impl Judged {
    /// What `forecast` said of its point `idx`, beside the `value` that came.
    pub fn of(forecast: &Forecast, idx: usize, value: f64) -> Judged {
        let band = forecast.band.as_ref().map(|band| (band.lower[idx], band.upper[idx], band.coverage));
        let scale = forecast.accuracy.as_ref().and_then(Accuracy::scale);
        Judged { value, point: forecast.points[idx], band, naive: None, scale }
    }
}

/// A sum of terms and how many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    sum: f64,
    n: u64,
}

impl Sum {
    fn add(&mut self, term: f64) {
        if term.is_finite() {
            self.sum += term;
            self.n += 1;
        }
    }

    fn merge(&mut self, other: &Sum) {
        self.sum += other.sum;
        self.n += other.n;
    }

    fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64).filter(|mean| mean.is_finite())
    }
}

/// What a [`Tally`] says, and how many values each of its means is over: all that is written down of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Values judged.
    pub n: u64,
    /// Of these, with a scale.
    pub n_scaled: u64,
    /// Of these, with a band.
    pub n_banded: u64,
    /// Of these, with both.
    pub n_intervals: u64,
    /// See [`Tally::mae`].
    pub mae: Option<f64>,
    /// See [`Tally::bias`].
    pub bias: Option<f64>,
    /// See [`Tally::smape`].
    pub smape: Option<f64>,
    /// See [`Tally::mase`].
    pub mase: Option<f64>,
    /// See [`Tally::scaled_bias`].
    pub scaled_bias: Option<f64>,
    /// See [`Tally::coverage`].
    pub coverage: Option<f64>,
    /// See [`Tally::promised`].
    pub promised: Option<f64>,
    /// See [`Tally::width`].
    pub width: Option<f64>,
    /// See [`Tally::msis`].
    pub msis: Option<f64>,
}

impl From<&Figures> for Tally {
    /// The tally that says so; it knows of no yardstick.
    fn from(figures: &Figures) -> Tally {
        let sum = |mean: Option<f64>, n: u64| mean.map_or(Sum::default(), |mean| Sum { sum: mean * n as f64, n });
        let Figures { n, n_scaled, n_banded, n_intervals, .. } = *figures;
        Tally {
            sizes: sum(figures.mae, n),
            errors: sum(figures.bias, n),
            symmetric: sum(figures.smape, n),
            scaled: sum(figures.mase, n_scaled),
            scaled_errors: sum(figures.scaled_bias, n_scaled),
            inside: sum(figures.coverage, n_banded),
            promised: sum(figures.promised, n_banded),
            widths: sum(figures.width, n_banded),
            intervals: sum(figures.msis, n_intervals),
            ..Tally::default()
        }
    }
}

/// Sums over judged values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    sizes: Sum,
    errors: Sum,
    symmetric: Sum,
    scaled: Sum,
    scaled_errors: Sum,
    /// Sizes where the yardstick is known too, and the yardstick's.
    beside: Sum,
    naive: Sum,
    /// The same, scaled.
    scaled_beside: Sum,
    scaled_naive: Sum,
    inside: Sum,
    promised: Sum,
    widths: Sum,
    intervals: Sum,
}

impl Tally {
    /// Takes in one value; one that is NaN was not there to be judged.
    pub fn add(&mut self, judged: &Judged) {
        let Judged { value, point, band, naive, scale } = *judged;
        let error = value - point;
        if !error.is_finite() {
            return;
        }
        self.sizes.add(error.abs());
        self.errors.add(error);
        self.symmetric.add(smape(value, point));
        if let Some(naive) = naive {
            self.beside.add(error.abs());
            self.naive.add((value - naive).abs());
        }
        let scale = scale.filter(|scale| *scale > 0.0);
        if let Some((naive, scale)) = naive.zip(scale) {
            self.scaled_beside.add(error.abs() / scale);
            self.scaled_naive.add((value - naive).abs() / scale);
        }
        if let Some(scale) = scale {
            self.scaled.add(error.abs() / scale);
            self.scaled_errors.add(error / scale);
        }
        if let Some((lower, upper, coverage)) = band {
            self.inside.add(f64::from(u8::from(lower <= value && value <= upper)));
            self.promised.add(coverage.share());
            self.widths.add(upper - lower);
            if let Some(scale) = scale {
                let missed = (lower - value).max(0.0) + (value - upper).max(0.0);
                self.intervals.add((upper - lower + missed * 2.0 / (1.0 - coverage.share())) / scale);
            }
        }
    }

    /// Takes in all that `other` has.
    pub fn merge(&mut self, other: &Tally) {
        let parts = [
            (&mut self.sizes, &other.sizes),
            (&mut self.errors, &other.errors),
            (&mut self.symmetric, &other.symmetric),
            (&mut self.scaled, &other.scaled),
            (&mut self.scaled_errors, &other.scaled_errors),
            (&mut self.beside, &other.beside),
            (&mut self.naive, &other.naive),
            (&mut self.scaled_beside, &other.scaled_beside),
            (&mut self.scaled_naive, &other.scaled_naive),
            (&mut self.inside, &other.inside),
            (&mut self.promised, &other.promised),
            (&mut self.widths, &other.widths),
            (&mut self.intervals, &other.intervals),
        ];
        for (own, other) in parts {
            own.merge(other);
        }
    }

    /// All of it to be written down.
    pub fn figures(&self) -> Figures {
        Figures {
            n: self.sizes.n,
            n_scaled: self.scaled.n,
            n_banded: self.inside.n,
            n_intervals: self.intervals.n,
            mae: self.mae(),
            bias: self.bias(),
            smape: self.smape(),
            mase: self.mase(),
            scaled_bias: self.scaled_bias(),
            coverage: self.coverage(),
            promised: self.promised(),
            width: self.width(),
            msis: self.msis(),
        }
    }

    /// How many values were judged.
    pub fn n(&self) -> u64 {
        self.sizes.n
    }

    /// How many of them had a band.
    pub fn n_banded(&self) -> u64 {
        self.inside.n
    }

    /// Mean absolute error, in the metric's unit.
    pub fn mae(&self) -> Option<f64> {
        self.sizes.mean()
    }

    /// Mean of value minus forecast, in the metric's unit: above 0 the forecasts were too low.
    pub fn bias(&self) -> Option<f64> {
        self.errors.mean()
    }

    /// Symmetric mean absolute percentage error, 0..200.
    pub fn smape(&self) -> Option<f64> {
        self.symmetric.mean()
    }

    /// Mean absolute scaled error; 1 is as far off as seasonal naive was one cycle ahead before the forecasts.
    pub fn mase(&self) -> Option<f64> {
        self.scaled.mean()
    }

    /// The bias in the unit of [`mase`](Tally::mase), which series of different size share.
    pub fn scaled_bias(&self) -> Option<f64> {
        self.scaled_errors.mean()
    }

    /// The mean absolute error over that of seasonal naive for the same values: below 1 is better. `None` where naive
    /// made no error.
    pub fn relative(&self) -> Option<f64> {
        let (own, naive) = (self.beside.mean()?, self.naive.mean()?);
        (naive > 0.0).then(|| own / naive)
    }

    /// The same of scaled errors, for tallies over series of different size or unit.
    pub fn scaled_relative(&self) -> Option<f64> {
        let (own, naive) = (self.scaled_beside.mean()?, self.scaled_naive.mean()?);
        (naive > 0.0).then(|| own / naive)
    }

    /// Share of the values with a band that lay inside it.
    pub fn coverage(&self) -> Option<f64> {
        self.inside.mean()
    }

    /// What the bands promised to hold, on average.
    pub fn promised(&self) -> Option<f64> {
        self.promised.mean()
    }

    /// Mean width of the bands, in the metric's unit.
    pub fn width(&self) -> Option<f64> {
        self.widths.mean()
    }

    /// Mean scaled interval score: the band's width, and a fine for each value outside, in the unit of
    /// [`mase`](Tally::mase). Lower is better.
    pub fn msis(&self) -> Option<f64> {
        self.intervals.mean()
    }
}

/// The leads that `lead` is told with: 1, 2, 3 to 4, 5 to 8 and so on, doubling, so that few groups tell of any horizon.
pub fn lead_group(lead: usize) -> (usize, usize) {
    let last = lead.max(1).next_power_of_two();
    (last / 2 + 1, last)
}

/// What |a - b| is in percent of their mean size, 0..200.
fn smape(value: f64, point: f64) -> f64 {
    let size = value.abs() / 2.0 + point.abs() / 2.0;
    if size > 0.0 { 100.0 * ((value - point).abs() / size).min(2.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(value: f64, point: f64) -> Judged {
        Judged {
            value,
            point,
            band: Some((8.0, 12.0, Coverage::new(0.8).unwrap())),
            naive: Some(9.0),
            scale: Some(2.0),
        }
    }

    #[test]
    fn figures_follow_from_their_definitions() {
        let mut tally = Tally::default();
        for value in [10.0, 13.0, 6.0, f64::NAN] {
            tally.add(&judged(value, 10.0));
        }
        // Errors 0, 3, -4; those of naive 1, 4, 3. Outside by 1 and by 2, each fined tenfold at 80 %.
        assert_eq!((tally.n(), tally.n_banded()), (3, 3));
        assert_eq!((tally.mae(), tally.bias()), (Some(7.0 / 3.0), Some(-1.0 / 3.0)));
        assert_eq!((tally.mase(), tally.scaled_bias()), (Some(7.0 / 6.0), Some(-1.0 / 6.0)));
        assert!((tally.relative().unwrap() - 7.0 / 8.0).abs() < 1e-12, "{:?}", tally.relative());
        assert_eq!((tally.coverage(), tally.width()), (Some(1.0 / 3.0), Some(4.0)));
        assert!((tally.promised().unwrap() - 0.8).abs() < 1e-12, "{:?}", tally.promised());
        let msis = (3.0 * 4.0 + 10.0 + 20.0) / 3.0 / 2.0;
        assert!((tally.msis().unwrap() - msis).abs() < 1e-12, "{:?}", tally.msis());
        let smape = (0.0 + 3.0 / 11.5 + 4.0 / 8.0) * 100.0 / 3.0;
        assert!((tally.smape().unwrap() - smape).abs() < 1e-12);
    }

    #[test]
    fn halves_add_up_and_nothing_has_no_figure() {
        let values = [1.0, 5.0, 9.0, 11.0, 30.0];
        let sum_up = |values: &[f64]| {
            let mut tally = Tally::default();
            values.iter().for_each(|value| tally.add(&judged(*value, 10.0)));
            tally
        };
        let (mut first, second) = (sum_up(&values[..2]), sum_up(&values[2..]));
        first.merge(&second);
        assert_eq!(first, sum_up(&values));
        // What is written down of a tally makes it again, but for the yardstick and rounding.
        let again = Tally::from(&first.figures());
        assert_eq!((again.n(), again.n_banded(), again.relative()), (first.n(), first.n_banded(), None));
        let close = |a: Option<f64>, b: Option<f64>| (a.unwrap() - b.unwrap()).abs() < 1e-9;
        assert!(close(again.mae(), first.mae()) && close(again.msis(), first.msis()));
        assert!(close(again.coverage(), first.coverage()) && close(again.scaled_bias(), first.scaled_bias()));
        let nothing = Tally::default();
        assert_eq!((nothing.n(), nothing.mae(), nothing.coverage(), nothing.msis()), (0, None, None, None));
        let mut bare = Tally::default();
        bare.add(&Judged { band: None, naive: None, scale: Some(0.0), ..judged(4.0, 3.0) });
        assert_eq!((bare.mae(), bare.mase(), bare.coverage(), bare.relative()), (Some(1.0), None, None, None));
    }

    #[test]
    fn what_is_relative_over_series_does_not_go_by_their_size() {
        let of = |size: f64, own: f64| {
            let mut tally = Tally::default();
            let judged = Judged {
                value: size * 10.0,
                point: size * (10.0 - own),
                band: None,
                naive: Some(size * 6.0),
                scale: Some(size * 2.0),
            };
            (0..5).for_each(|_| tally.add(&judged));
            tally
        };
        let (small, large) = (of(1.0, 2.0), of(1e9, 6.0));
        let close = |a: Option<f64>, b: f64| (a.unwrap() - b).abs() < 1e-9;
        assert!(close(small.relative(), 0.5) && close(large.relative(), 1.5) && close(large.scaled_relative(), 1.5));
        let mut both = small;
        both.merge(&large);
        assert!((both.relative().unwrap() - 1.5).abs() < 1e-6, "the large one drowns the small");
        assert!(close(both.scaled_relative(), 1.0), "{:?}", both.scaled_relative());
        assert_eq!(Tally::default().scaled_relative(), None);
    }

    #[test]
    fn lead_groups_double_and_leave_no_hole() {
        let groups: Vec<(usize, usize)> = [1, 2, 3, 4, 5, 8, 9, 96].map(lead_group).to_vec();
        assert_eq!(groups, [(1, 1), (2, 2), (3, 4), (3, 4), (5, 8), (5, 8), (9, 16), (65, 128)]);
    }
}
