//! Fit once, replay the past once, then forecast in microseconds.
//!
//! In: a [`Past`] and a [`Request`]. Out: a [`Prepared`], which answers [`Forecast`]s for any horizon and coverage and
//! takes in new values as they come.

use super::auto::AUTO;
use super::backtest::mean;
use super::conformal::Conformal;
use super::correction::Correction;
use super::direction::direction;
use super::facts::Facts;
use super::learn::{Fitting, given, learn};
use super::model::{Coverage, FitError, Fitted, Horizon, Other, Updated};
use super::often::{Often, unrounded};
use super::outlook::{Accuracy, Band, Direction, Forecast};
use super::past::{Past, Regressors};
use super::recalibrate::{FOLLOWED, Recalibration};
use super::registry::UnknownModel;
use super::season::SeasonChoice;
use super::shaped::shape;
use super::to_now::to_now;
use crate::series::{Calendar, Millis, Season, Step};

/// What to forecast with, and how far.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// A registered name.
    pub model: String,
    /// Where the season comes from.
    pub season: SeasonChoice,
    /// The longest lead for which bands are made.
    pub horizon: Horizon,
}

impl Default for Request {
    fn default() -> Request {
        Request {
            model: AUTO.to_owned(),
            season: SeasonChoice::Auto,
            horizon: Horizon::new(24).expect("24 is not zero"),
        }
    }
}

/// Why there is no forecast.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ForecastError {
    /// No method bears the name.
    #[error(transparent)]
    UnknownModel(#[from] UnknownModel),
    /// The method cannot be fitted to the history.
    #[error("model `{model}`: {source}")]
    Fit {
        /// The method's name.
        model: String,
        /// Why.
        source: FitError,
    },
    /// The history has no value.
    #[error("the history has no value to learn from")]
    Empty,
    /// The history has values, but too few to replay one forecast.
    #[error("the history of {got} values is too short to replay a forecast; record longer")]
    TooShort {
        /// How many cells it has.
        got: usize,
    },
}

/// A fitted method with what its replay taught about its errors.
#[derive(Debug)]
pub struct Prepared {
    model: String,
    fallback: Option<String>,
    fitted: Box<dyn Fitted>,
    bands: Conformal,
    often: Often,
    recalibration: Recalibration,
    correction: Correction,
    accuracy: Option<Accuracy>,
    direction: Direction,
    season: Option<usize>,
    facts: Facts,
    end: Millis,
    last_seen: Millis,
    step: Step,
    calendar: Option<Calendar>,
    n_seen: usize,
}

/// Fits the method of `request` to `past` and replays it.
///
/// A seasonal method asked for by name without a season takes the one of those found that did best. Where no range is
/// declared, points and bands keep to the one that the values have kept to, see [`Facts`].
///
/// # Errors
/// When no method bears the name, when the past is empty, when the method cannot be fitted to it.
pub fn prepare<'a>(past: impl Into<Past<'a>>, request: &Request) -> Result<Prepared, ForecastError> {
    let past = past.into();
    let facts = past.facts().learned_from(past.values());
    prepare_as_known(&past.with_facts(&facts), request)
}

/// The same with no more known of the metric than the past says.
pub(super) fn prepare_as_known(past: &Past<'_>, request: &Request) -> Result<Prepared, ForecastError> {
    prepare_beside(None, past, request)
}

/// The same beside the seasons that were found in these very values, where they were looked for before.
pub(super) fn prepare_beside(
    found: Option<Vec<Season>>,
    past: &Past<'_>,
    request: &Request,
) -> Result<Prepared, ForecastError> {
    let past = *past;
    let last_seen = past.last_seen().ok_or(ForecastError::Empty)?;
    let (learnt, values) = learn(found, &past, request)?;
    let cycle = learnt.cycle();
    let Fitting { chosen, accuracy, seasons } = learnt;
    let mut honest = unrounded(chosen.honest, &values);
    // One outage is one event: neither its errors nor its value are what comes often.
    let usual = chosen.astray.all_mended(&values);
    let (astray, share) = chosen.astray.taken_out(&mut honest);
    let often = Often::of(&usual, &honest);
    let bands = Conformal::beside(&astray, share, &to_now(honest.known(), &usual, cycle), cycle);
    let mut prepared = Prepared {
        model: chosen.name,
        fallback: chosen.fallback,
        fitted: chosen.fitted,
        recalibration: Recalibration::new(bands.n_leads()),
        correction: Correction::default(),
        bands,
        often,
        accuracy,
        direction: direction(past, seasons.first().copied()),
        // Who gave one is not told of another that was tried beside it. One as long as the past cannot have been used,
        // whoever gave it.
        season: chosen
            .season
            .map(|season| given(request).unwrap_or(season).steps())
            .filter(|steps| *steps < past.len()),
        facts: past.facts().clone(),
        end: past.end(),
        last_seen,
        step: past.step(),
        calendar: past.calendar(),
        n_seen: past.len(),
    };
    prepared.issue(past.ahead());
    Ok(prepared)
}

impl Prepared {
    /// Points for the next `horizon` steps with a band at `coverage`, where one can be promised.
    pub fn forecast(&self, horizon: Horizon, coverage: Coverage) -> Forecast {
        self.forecast_after(0, horizon, coverage, Regressors::NONE)
    }

    /// The same, beginning `skipped` steps later: for a model that stands behind, or a series that fell silent. The
    /// first row of `known` belongs to the step after the last value taken in.
    pub fn forecast_after(
        &self,
        skipped: usize,
        horizon: Horizon,
        coverage: Coverage,
        known: Regressors<'_>,
    ) -> Forecast {
        let points = self.points(skipped.saturating_add(horizon.steps()), known).split_off(skipped);
        let (band, band_reason) = match self.bands.check(skipped + points.len()) {
            Ok(()) => {
                let both = || points.iter().zip(skipped..);
                let others = self.fitted.others(known, skipped + points.len());
                let edges = self.edges(coverage.share(), &others);
                let (lower, upper) = both().map(|(point, lead)| edges(*point, lead)).unzip();
                (Some(Band { coverage, lower, upper }), None)
            }
            Err(reason) => (None, Some(reason)),
        };
        Forecast {
            start: self.after_end(skipped),
            step: self.step,
            calendar: self.calendar,
            points,
            band,
            band_reason,
            last_seen: self.last_seen,
            direction: self.direction,
            model: self.model.clone(),
            fallback: self.fallback.clone(),
            settings: self.fitted.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            accuracy: self.accuracy.clone().map(|known| Accuracy { coverage: self.bands.coverage(coverage), ..known }),
            season: self.season,
            facts: self.facts.clone(),
            events: Vec::new(),
            influences: Vec::new(),
        }
    }

    /// When the cell `n` after the next stands.
    pub(super) fn after_end(&self, n: usize) -> Millis {
        let span = self.step.millis().saturating_mul(Millis::try_from(n).unwrap_or(Millis::MAX));
        let even = self.end.saturating_add(span);
        self.calendar.map_or(even, |calendar| calendar.next_to(even))
    }

    /// The points of the next `n` steps, such as the metric can take: a mean of whole numbers is none.
    fn points(&self, n: usize, known: Regressors<'_>) -> Vec<f64> {
        let mut points = vec![0.0; n];
        self.fitted.points_into(known, &mut points);
        points.iter_mut().for_each(|point| *point = shape(*point, &self.facts));
        points
    }

    /// The edges of the band about a point at a lead, counted from 0; it reaches to `others` that are too likely to be
    /// left out.
    fn edges<'a>(&'a self, share: f64, others: &'a [Other]) -> impl Fn(f64, usize) -> (f64, f64) + 'a {
        // What is recalibrated on its own must still nest: no band is narrower than one of less coverage.
        let within = FOLLOWED.iter().copied().filter(move |followed| *followed < share);
        let shares: Vec<_> = within.chain([share]).map(|share| (share, self.bands.reaches(share))).collect();
        move |point, lead| {
            let corrected = self.corrected(lead);
            let (below, above) = shares
                .iter()
                .map(|(share, reaches)| {
                    (corrected * self.recalibration.factor(*share, lead), reaches(self.n_seen, lead))
                })
                .map(|(factor, (below, above))| (factor * below, factor * above))
                .fold((0.0, 0.0), |a: (f64, f64), b| (a.0.max(b.0), a.1.max(b.1)));
            let other = others.get(lead).filter(|other| other.chance > (1.0 - share) / 2.0);
            let (least, most) = other.map_or((point, point), |other| (point.min(other.lower), point.max(other.upper)));
            let edge = |edge: f64| edge.clamp(-f64::MAX, f64::MAX);
            let (lower, upper) = self.often.held(point, (edge(least - below), edge(most + above)), share);
            (shape(lower, &self.facts), shape(upper, &self.facts))
        }
    }

    /// What `correction` makes of the width at a lead, counted from 0.
    fn corrected(&self, lead: usize) -> f64 {
        let steps = Millis::try_from(lead).unwrap_or(Millis::MAX).saturating_add(1);
        self.correction.factor(self.step.millis().saturating_mul(steps))
    }

    /// With bands as earlier forecasts of the series that came true say; the first row of `known` belongs to the next
    /// step.
    #[must_use]
    pub fn corrected_by(mut self, correction: &Correction, known: Regressors<'_>) -> Prepared {
        self.correction = correction.clone();
        self.recalibration = Recalibration::new(self.bands.n_leads());
        self.issue(known);
        self
    }

    /// With what the values since the fit of `before`, an earlier model of the series, have taught of its bands, as far
    /// as this fit has not learnt it by itself; the first row of `known` belongs to the next step.
    #[must_use]
    pub fn going_on_from(mut self, before: &Prepared, known: Regressors<'_>) -> Prepared {
        let n_leads = self.bands.n_leads();
        let grown = FOLLOWED.map(|share| before.mean_width(share) / self.mean_width(share));
        let left = |nr: usize, lead: usize| {
            let then = before.recalibration.factor(FOLLOWED[nr], lead) * before.corrected(lead);
            // As wide as it was, but never further from the fit's own width than it was.
            let wanted = if grown[nr].is_finite() { then * grown[nr] } else { then };
            wanted.clamp(then.min(1.0), then.max(1.0))
        };
        self.correction = Correction::default();
        self.recalibration = Recalibration::with_factors(n_leads, left);
        self.issue(known);
        self
    }

    /// The mean width of a band by the fit alone, over the leads.
    fn mean_width(&self, share: f64) -> f64 {
        let reaches = self.bands.reaches(share);
        let widths =
            (0..self.bands.n_leads()).map(|lead| reaches(self.n_seen, lead)).map(|(below, above)| below + above);
        mean(widths)
    }

    /// Notes what the bands say now, to be held against what comes.
    fn issue(&mut self, known: Regressors<'_>) {
        let due: Vec<usize> = self.recalibration.due().collect();
        let Some(&longest) = due.last() else { return };
        let points = self.points(longest, known);
        let others = self.fitted.others(known, longest);
        let edges = FOLLOWED.map(|share| self.edges(share, &others));
        let issued: Vec<_> = due
            .into_iter()
            .map(|lead| (lead, edges.each_ref().map(|edges| edges(points[lead - 1], lead - 1))))
            .collect();
        drop(edges);
        issued.into_iter().for_each(|(lead, edges)| self.recalibration.issue(lead, edges));
    }

    /// Takes in the value at the next step; NaN is a gap. The first row of `known` belongs to that step. Bands are
    /// corrected by how the ones issued before have held; accuracy and direction stay those of the last fit.
    /// A value beyond the range that was learned shows that there is none.
    pub fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        self.update_from(value, value, known)
    }

    /// The same with a value that the model is told instead of `own`, the metric's.
    pub(super) fn update_from(&mut self, own: f64, value: f64, known: Regressors<'_>) -> Updated {
        self.facts.take(own);
        let updated = self.fitted.update(value, known);
        if updated != Updated::NeedsRefit {
            self.n_seen += 1;
            if !value.is_nan() {
                self.last_seen = self.end;
            }
            self.end = self.after_end(1);
            self.recalibration.take(value);
            self.issue(known.skip(1));
        }
        updated
    }

    /// How many cells the model has seen, gaps among them.
    pub fn n_seen(&self) -> usize {
        self.n_seen
    }

    /// Up to how many steps ahead a band can be made.
    pub fn n_leads(&self) -> usize {
        self.bands.n_leads()
    }

    /// The registered name of the method that makes the points; under `auto` those it chose, with plus
    /// signs between.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// When the first forecast point stands.
    pub fn end(&self) -> Millis {
        self.end
    }

    /// When the last value stands that was no gap.
    pub fn last_seen(&self) -> Millis {
        self.last_seen
    }

    /// What is known of the metric.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The spacing of the points.
    pub fn step(&self) -> Step {
        self.step
    }

    /// What it holds in memory.
    pub fn n_bytes(&self) -> usize {
        let names = self.model.capacity() + self.fallback.as_ref().map_or(0, String::capacity);
        let fitted = size_of_val(&*self.fitted) + self.fitted.n_bytes();
        size_of::<Prepared>() + names + fitted + self.bands.n_bytes() + self.often.n_bytes() + self.correction.n_bytes()
    }
}
