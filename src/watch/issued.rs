//! Forecasts that were issued, and how right they turned out.
//!
//! In: each kept forecast as it is made, and the samples that came since. Out: a [`Tally`] per series, day and lead, what
//! is recorded of them by metric, lead and model, and what waits still. The model is the one that was asked for, a
//! registered name: what `auto` made of it changes with every fit, and would be as many series as there are pools.
//!
//! Of each forecast one target in each group of leads waits to be judged, the group's last (1, 2, 4, 8 steps and so on,
//! and the horizon): a day of forecasts every quarter of an hour would otherwise wait with nine thousand values a
//! series. A target is judged once its cell and one more have passed, so that late samples are in. What finds no place,
//! and what no sample came for, is counted.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use super::history::{means, nearest};
use super::results::day_of;
use crate::forecast::{Correction, Coverage, Events, Forecast, Judged, Outcome, Tally, lead_group};
use crate::series::{Batch, DAY, Key, Millis, Sample, Step, TimeRange, detect_step, format_duration};

/// Days whose tallies are kept in memory and told, today among them.
pub(super) const DAYS: Millis = 7;
/// What every series that is recorded here begins with; none of them is watched or forecast itself.
const PREFIX: &str = "barograph_forecast_";
/// Stands for what there is no label set left for.
const OTHER: &str = "other";
/// How long forecasts of a series that fell silent wait for its samples.
const MOST_AWAY: Millis = DAY;
/// Series that are known at most before those that are forecast no more are forgotten at once.
const MOST_KNOWN: usize = 10_000;

/// Whether a series is one of those that are recorded here.
pub(super) fn is_own(key: &Key) -> bool {
    key.metric().starts_with(PREFIX)
}

/// What was said of one cell in the future.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub issued_at: Millis,
    /// When the cell stands.
    pub at: Millis,
    /// How far ahead it was said.
    pub lead: Millis,
    pub step: Step,
    pub point: f64,
    pub band: Option<(f64, f64, Coverage)>,
    pub scale: Option<f64>,
    /// What a correction of the band has multiplied its width by.
    pub factor: f64,
    /// The registered name that was asked for.
    pub model: &'static str,
}

impl Target {
    /// Whether `other` is of the same lead and was issued before this one came true, and not before it.
    fn is_alike(&self, other: &Target) -> bool {
        self.lead == other.lead && (self.issued_at..self.at).contains(&other.issued_at)
    }

    /// How it turned out; `None` where it says nothing of the band's width.
    fn outcome(&self, value: f64, n_alike: usize) -> Option<Outcome> {
        let (lower, upper, coverage) = self.band?;
        let (error, edge) = if value < self.point {
            (self.point - value, self.point - lower)
        } else {
            (value - self.point, upper - self.point)
        };
        // A value at the very edge is mostly where the metric's range ends: inside, and no more is known.
        let share = if error == edge { 0.5 } else { error / edge };
        let (lead, factor, promised) = (self.lead, self.factor, coverage.share());
        let size = share * factor;
        (edge > 0.0 && size.is_finite()).then_some(Outcome { lead, size, factor, promised, n_alike })
    }

    /// From when on it is judged.
    fn due_at(&self) -> Millis {
        self.at.saturating_add(2 * self.step.millis())
    }
}

/// What is known of one series.
#[derive(Clone, Debug, Default)]
struct Known {
    /// What waits, oldest issue first.
    waiting: Vec<Target>,
    /// Up to when everything due was judged.
    judged_until: Millis,
    /// By day of the target and lead.
    days: BTreeMap<(Millis, Millis), Tally>,
    /// What what came true says of the bands to come.
    correction: Correction,
}

/// How the forecasts of one series turned out over the last days.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuedAccuracy {
    /// The first day, its first instant.
    pub since: Millis,
    /// Over all leads.
    pub overall: Tally,
    /// By lead, ms, ascending.
    pub leads: Vec<(Millis, Tally)>,
}

/// One day of one series at one lead, as it is written down.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JudgedDay {
    pub key: Key,
    pub day: Millis,
    pub lead: Millis,
    pub judged_until: Millis,
    pub tally: Tally,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct IssuedCounts {
    pub n_waiting: u64,
    pub n_judged: u64,
    /// Targets that found no place, for which no sample came, or whose series stayed away.
    pub n_unjudged: u64,
}

/// Everything issued and not forgotten.
#[derive(Debug)]
pub(super) struct Issued {
    most_waiting: usize,
    most_sets: usize,
    series: HashMap<Key, Known>,
    n_waiting: usize,
    n_judged: u64,
    n_unjudged: u64,
    changed: HashSet<(Key, Millis, Millis)>,
    /// What was judged since it was last recorded, by metric, lead and model; and which of these there have been.
    fresh: BTreeMap<(String, Millis, &'static str), Tally>,
    sets: HashSet<(String, Millis, &'static str)>,
}

impl Issued {
    /// At most so many targets wait, and accuracy is recorded for at most so many sets of metric, lead and model.
    pub fn new(most_waiting: usize, most_sets: usize) -> Issued {
        Issued {
            most_waiting,
            most_sets,
            series: HashMap::new(),
            n_waiting: 0,
            n_judged: 0,
            n_unjudged: 0,
            changed: HashSet::new(),
            fresh: BTreeMap::new(),
            sets: HashSet::new(),
        }
    }

    /// Takes back what was written down before a restart: days first, then what waits.
    pub fn load(&mut self, days: Vec<JudgedDay>, waiting: Vec<(Key, Target)>) {
        for JudgedDay { key, day, lead, judged_until, tally } in days {
            let known = self.series.entry(key).or_default();
            known.judged_until = known.judged_until.max(judged_until);
            known.days.insert((day, lead), tally);
        }
        for (key, target) in waiting {
            let known = self.series.entry(key).or_default();
            // What the days hold already is not judged again.
            if target.due_at() > known.judged_until && self.n_waiting < self.most_waiting {
                known.waiting.push(target);
                self.n_waiting += 1;
            }
        }
        for known in self.series.values_mut() {
            let newest = known.waiting.iter().map(|target| target.issued_at).max();
            let last = known.waiting.iter().filter(|target| Some(target.issued_at) == newest);
            known.correction = Correction::restored(last.map(|target| (target.lead, target.factor)));
        }
    }

    /// What the forecasts of a series that came true say of the bands of those to come.
    pub fn correction(&self, key: &Key) -> Correction {
        self.series.get(key).map_or_else(Correction::default, |known| known.correction.clone())
    }

    /// A forecast that `model` was asked for was issued, its bands as [`correction`](Issued::correction) says. What lies
    /// in a maintenance window will not be judged.
    pub fn add(&mut self, key: &Key, issued_at: Millis, model: &'static str, forecast: &Forecast, events: &Events) {
        let n = forecast.points.len();
        let known = self.series.entry(key.clone()).or_default();
        for idx in (0..n).filter(|idx| lead_group(idx + 1).1 == idx + 1 || idx + 1 == n) {
            let at = forecast.at(idx);
            if events.is_maintained(at, forecast.step.millis()) {
                continue;
            }
            if self.n_waiting >= self.most_waiting {
                self.n_unjudged += 1;
                continue;
            }
            let Judged { point, band, scale, .. } = Judged::of(forecast, idx, f64::NAN);
            let lead = forecast.step.millis().saturating_mul(idx as Millis + 1);
            let step = forecast.step;
            let factor = known.correction.factor(lead);
            known.waiting.push(Target { issued_at, at, lead, step, point, band, scale, factor, model });
            self.n_waiting += 1;
        }
    }

    /// The samples that are needed to judge what is due.
    pub fn needed(&self, key: &Key, now: Millis) -> Option<TimeRange> {
        let due = || self.series.get(key).into_iter().flat_map(|known| &known.waiting).filter(|it| it.due_at() <= now);
        let step = due().map(|target| target.step.millis()).max()?;
        let (first, last) = (due().map(|target| target.at).min()?, due().map(|target| target.at).max()?);
        // A counter's first sample needs one before it, and a cell one behind it to be known as whole.
        TimeRange::new(first.saturating_sub(3 * step), last.saturating_add(2 * step)).ok()
    }

    /// Judges what is due by `points`: sorted samples of what [`needed`](Issued::needed) said, a counter's as rates.
    pub fn judge(&mut self, key: &Key, now: Millis, points: &[Sample]) {
        let Some(known) = self.series.get_mut(key) else { return };
        let native = detect_step(points);
        let (due, waiting): (Vec<Target>, Vec<Target>) =
            known.waiting.drain(..).partition(|target| target.due_at() <= now);
        let n_alike = |target: &Target| due.iter().chain(&waiting).filter(|other| target.is_alike(other)).count();
        let n_alike: Vec<usize> = due.iter().map(n_alike).collect();
        known.waiting = waiting;
        known.judged_until = known.judged_until.max(now);
        self.n_waiting -= due.len();
        let mut cells: BTreeMap<Millis, Vec<Outcome>> = BTreeMap::new();
        for (target, n_alike) in due.into_iter().zip(n_alike) {
            let Some(value) = value_of(points, &target, native) else {
                self.n_unjudged += 1;
                continue;
            };
            cells.entry(target.at).or_default().extend(target.outcome(value, n_alike));
            let Target { at, lead, point, band, scale, model, .. } = target;
            let judged = Judged { value, point, band, naive: None, scale };
            let place = (day_of(at), lead);
            known.days.entry(place).or_default().add(&judged);
            self.changed.insert((key.clone(), place.0, place.1));
            self.n_judged += 1;
            if self.most_sets == 0 {
                continue;
            }
            let mut set = (key.metric().to_owned(), lead, model);
            if !self.sets.contains(&set) {
                if self.sets.len() >= self.most_sets {
                    set = (OTHER.to_owned(), lead, OTHER);
                }
                self.sets.insert(set.clone());
            }
            self.fresh.entry(set).or_default().add(&judged);
        }
        cells.values().for_each(|cell| known.correction.learn(cell));
        let first = first_day(now);
        known.days.retain(|(day, _), _| *day >= first);
    }

    /// Forgets series that are forecast no more: what waits of them a day after their last forecast, since senders
    /// that were away bring what they held back; how their forecasts turned out when its days are no longer told of.
    pub fn retain(&mut self, now: Millis, is_kept: impl Fn(&Key) -> bool) {
        let first = first_day(now);
        let has_room = self.series.len() <= MOST_KNOWN;
        let (n_waiting, n_unjudged) = (&mut self.n_waiting, &mut self.n_unjudged);
        self.series.retain(|key, known| {
            if is_kept(key) {
                return true;
            }
            if known.waiting.last().is_some_and(|target| now.saturating_sub(target.issued_at) >= MOST_AWAY) {
                *n_waiting -= known.waiting.len();
                *n_unjudged += known.waiting.len() as u64;
                known.waiting.clear();
            }
            known.days.retain(|(day, _), _| *day >= first);
            !known.waiting.is_empty() || (has_room && !known.days.is_empty())
        });
    }

    /// How the forecasts of a series turned out; `None` before any was judged.
    pub fn of(&self, key: &Key) -> Option<IssuedAccuracy> {
        let days = &self.series.get(key)?.days;
        let since = days.keys().next()?.0;
        let mut overall = Tally::default();
        let mut leads: BTreeMap<Millis, Tally> = BTreeMap::new();
        for ((_, lead), tally) in days {
            overall.merge(tally);
            leads.entry(*lead).or_default().merge(tally);
        }
        Some(IssuedAccuracy { since, overall, leads: leads.into_iter().collect() })
    }

    /// The days that changed since they were last taken, by day.
    pub fn take_changed(&mut self) -> BTreeMap<Millis, Vec<JudgedDay>> {
        let mut days: BTreeMap<Millis, Vec<JudgedDay>> = BTreeMap::new();
        for (key, day, lead) in self.changed.drain() {
            let Some(known) = self.series.get(&key) else { continue };
            let Some(tally) = known.days.get(&(day, lead)).copied() else { continue };
            let judged_until = known.judged_until;
            days.entry(day).or_default().push(JudgedDay { key, day, lead, judged_until, tally });
        }
        for rows in days.values_mut() {
            rows.sort_by_key(|row| (row.key.id(), row.lead));
        }
        days
    }

    /// These could not be written, and have to be again.
    pub fn give_back(&mut self, days: &[JudgedDay]) {
        self.changed.extend(days.iter().map(|day| (day.key.clone(), day.day, day.lead)));
    }

    /// Everything that waits.
    pub fn waiting(&self) -> Vec<(Key, Target)> {
        let all = self.series.iter().flat_map(|(key, known)| known.waiting.iter().map(move |it| (key, it)));
        all.map(|(key, target)| (key.clone(), target.clone())).collect()
    }

    /// What was judged since the last time, as samples at `now` of series by metric, lead and model.
    pub fn take_samples(&mut self, now: Millis) -> Batch {
        let mut samples = Vec::new();
        for ((metric, lead, model), tally) in std::mem::take(&mut self.fresh) {
            let lead = format_duration(lead);
            let labels = [("metric", metric.as_str()), ("lead", lead.as_str()), ("model", model)];
            let figures = [
                ("judged", Some(tally.n() as f64)),
                ("mase", tally.mase()),
                ("bias", tally.scaled_bias()),
                ("coverage", tally.coverage()),
                ("promised", tally.promised()),
            ];
            for (name, value) in figures {
                let key = Key::from_pairs(&format!("{PREFIX}{name}"), &labels);
                if let (Ok(key), Some(value)) = (key, value) {
                    samples.push((key, Sample { at: now, value }));
                }
            }
        }
        Batch::from_samples(samples)
    }

    /// How it stands.
    pub fn counts(&self) -> IssuedCounts {
        IssuedCounts { n_waiting: self.n_waiting as u64, n_judged: self.n_judged, n_unjudged: self.n_unjudged }
    }
}

/// The first of the days that are told of at `now`.
fn first_day(now: Millis) -> Millis {
    day_of(now).saturating_sub((DAYS - 1) * DAY)
}

/// What came in a target's cell: the mean of a cell coarser than the samples, else the sample nearest to it.
fn value_of(points: &[Sample], target: &Target, native: Option<Step>) -> Option<f64> {
    let (at, step) = (target.at, target.step);
    let is_coarse = native.is_some_and(|native| native < step);
    let near = points.iter().filter(|point| (at - step.millis()..at + 2 * step.millis()).contains(&point.at));
    let near: Vec<Sample> = near.copied().collect();
    let values = match native.filter(|_| is_coarse) {
        Some(native) => means(&near, at, step, native),
        None => nearest(&near, at, step),
    };
    values.first().copied().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests;
