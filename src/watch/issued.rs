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
use crate::forecast::{Coverage, Events, Forecast, Judged, Tally, lead_group};
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
    /// The registered name that was asked for.
    pub model: &'static str,
}

impl Target {
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
    }

    /// A forecast that `model` was asked for was issued. What lies in a maintenance window will not be judged.
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
            known.waiting.push(Target { issued_at, at, lead, step, point, band, scale, model });
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
        known.waiting = waiting;
        known.judged_until = known.judged_until.max(now);
        self.n_waiting -= due.len();
        for target in due {
            let Some(value) = value_of(points, &target, native) else {
                self.n_unjudged += 1;
                continue;
            };
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
mod tests {
    use super::*;
    use crate::forecast::{Band, Direction, Effect, Event, Facts, Heading};
    use crate::series::MINUTE;

    const START: Millis = 1_760_000_000_000 / DAY * DAY;

    fn key(host: &str) -> Key {
        Key::from_pairs("load", &[("host", host)]).unwrap()
    }

    /// Twelve quarters of an hour at 10, give or take 2.
    fn forecast(issued_at: Millis) -> Forecast {
        let coverage = Coverage::new(0.8).unwrap();
        Forecast {
            start: issued_at,
            step: Step::seconds(900),
            points: vec![10.0; 12],
            band: Some(Band { coverage, lower: vec![8.0; 12], upper: vec![12.0; 12] }),
            band_reason: None,
            facts: Facts::default(),
            last_seen: issued_at,
            direction: Direction { heading: Heading::Flat, slope_per_step: 0.0, p_value: 1.0 },
            model: "naive".to_owned(),
            settings: BTreeMap::new(),
            accuracy: None,
            season: None,
            fallback: None,
            events: Vec::new(),
        }
    }

    /// One a minute from the start on, of a value.
    fn points(n: i64, value: f64) -> Vec<Sample> {
        (0..n).map(|i| Sample { at: START + i * MINUTE, value }).collect()
    }

    #[test]
    fn a_target_is_judged_when_its_cell_and_one_more_have_passed() {
        let mut issued = Issued::new(100, 10);
        issued.add(&key("a"), START, "auto", &forecast(START), Events::NONE);
        // Leads 1, 2, 4, 8 and the horizon.
        assert_eq!(issued.counts().n_waiting, 5);
        assert_eq!(issued.needed(&key("a"), START + 29 * MINUTE), None);
        let now = START + 45 * MINUTE;
        let range = issued.needed(&key("a"), now).unwrap();
        assert_eq!((range.start(), range.end()), (START - 45 * MINUTE, START + 45 * MINUTE));
        issued.judge(&key("a"), now, &points(45, 13.0));
        assert_eq!(issued.counts(), IssuedCounts { n_waiting: 3, n_judged: 2, n_unjudged: 0 });
        let told = issued.of(&key("a")).unwrap();
        assert_eq!(
            told.leads.iter().map(|(lead, tally)| (*lead, tally.n())).collect::<Vec<_>>(),
            [(15 * MINUTE, 1), (30 * MINUTE, 1)]
        );
        assert_eq!(
            (told.overall.mae(), told.overall.bias(), told.overall.coverage()),
            (Some(3.0), Some(3.0), Some(0.0))
        );
        assert_eq!((told.overall.promised(), told.since), (Some(0.8), START));
        // No sample came for the rest.
        issued.judge(&key("a"), START + DAY, &[]);
        assert_eq!(issued.counts(), IssuedCounts { n_waiting: 0, n_judged: 2, n_unjudged: 3 });
        assert_eq!(issued.of(&key("b")), None);
    }

    #[test]
    fn coarse_cells_are_judged_by_their_mean_and_fine_ones_by_their_sample() {
        let target = |at, step| Target {
            issued_at: START,
            at,
            lead: step,
            step: Step::new(step).unwrap(),
            point: 0.0,
            band: None,
            scale: None,
            model: "naive",
        };
        let points: Vec<Sample> = (0..40).map(|i| Sample { at: START + i * MINUTE + 3, value: i as f64 }).collect();
        let value = |target| value_of(&points, &target, Some(Step::seconds(60)));
        assert_eq!(value(target(START, 15 * MINUTE)), Some(7.0));
        assert_eq!(value(target(START + 20 * MINUTE, MINUTE)), Some(20.0));
        assert_eq!(value(target(START + 90 * MINUTE, MINUTE)), None);
    }

    #[test]
    fn what_does_not_fit_and_what_is_maintained_does_not_wait() {
        let mut issued = Issued::new(7, 10);
        issued.add(&key("a"), START, "auto", &forecast(START), Events::NONE);
        issued.add(&key("b"), START, "auto", &forecast(START), Events::NONE);
        assert_eq!(issued.counts(), IssuedCounts { n_waiting: 7, n_judged: 0, n_unjudged: 3 });
        issued.judge(&key("a"), START + 30 * MINUTE, &points(60, 10.0));
        // The series may be back within a day, with all that it missed.
        issued.retain(START + DAY - 1, |kept| *kept == key("b"));
        assert_eq!(issued.counts(), IssuedCounts { n_waiting: 6, n_judged: 1, n_unjudged: 3 });
        issued.retain(START + DAY, |kept| *kept == key("b"));
        assert_eq!(issued.counts(), IssuedCounts { n_waiting: 2, n_judged: 1, n_unjudged: 7 });
        assert!(issued.of(&key("a")).is_some(), "it may come back");
        issued.retain(START + 9 * DAY, |kept| *kept == key("b"));
        assert!(issued.of(&key("a")).is_none());
        let window = Effect::Maintenance(vec![(START, START + 20 * MINUTE)]);
        let events = Events::new(vec![Event { name: "w".to_owned(), effect: window }]);
        issued.add(&key("a"), START, "auto", &forecast(START), &events);
        assert_eq!(issued.waiting().iter().filter(|(of, _)| *of == key("a")).count(), 3);
    }

    #[test]
    fn a_restart_goes_on_where_it_was_and_judges_nothing_twice() {
        let mut issued = Issued::new(100, 10);
        issued.add(&key("a"), START, "auto", &forecast(START), Events::NONE);
        let before = issued.waiting();
        let now = START + 45 * MINUTE;
        issued.judge(&key("a"), now, &points(45, 11.0));
        let days: Vec<JudgedDay> = issued.take_changed().into_values().flatten().collect();
        assert_eq!((days.len(), issued.take_changed().len()), (2, 0));
        issued.give_back(&days[..1]);
        assert_eq!(issued.take_changed().len(), 1);
        // The days were written, what waits was not any more.
        let mut again = Issued::new(100, 10);
        again.load(days, before);
        assert_eq!(again.counts().n_waiting, 3);
        assert_eq!(again.of(&key("a")), issued.of(&key("a")));
        for issued in [&mut issued, &mut again] {
            issued.judge(&key("a"), START + DAY, &points(600, 11.0));
        }
        assert_eq!(again.of(&key("a")), issued.of(&key("a")));
        // A week later nothing of it is left in memory.
        issued.judge(&key("a"), START + 8 * DAY, &[]);
        assert_eq!(issued.of(&key("a")), None);
    }

    #[test]
    fn accuracy_becomes_few_series_however_many_metrics_there_are() {
        let mut issued = Issued::new(10_000, 8);
        let metric = |nr: i32| Key::from_pairs(&format!("m{nr}"), &[]).unwrap();
        for nr in 0..20 {
            issued.add(&metric(nr), START, "auto", &forecast(START), Events::NONE);
            issued.judge(&metric(nr), START + DAY, &points(600, 11.0));
        }
        let batch = issued.take_samples(START + DAY);
        let sets: HashSet<(String, String)> = batch
            .keys()
            .iter()
            .map(|key| (key.labels().get("metric").unwrap().to_owned(), key.labels().get("lead").unwrap().to_owned()))
            .collect();
        // Eight sets, and one for each lead of all the others.
        assert_eq!(sets.len(), 8 + 5, "{sets:?}");
        assert!(sets.contains(&("other".to_owned(), "15m".to_owned())), "{sets:?}");
        assert!(batch.keys().iter().all(is_own));
        let models: HashSet<&str> = batch.keys().iter().filter_map(|key| key.labels().get("model")).collect();
        assert_eq!(models, HashSet::from(["auto", "other"]), "not who `auto` chose");
        let judged: f64 = batch
            .iter()
            .filter(|(key, _)| key.metric() == "barograph_forecast_judged")
            .map(|(_, sample)| sample.value)
            .sum();
        assert_eq!(judged, 100.0);
        assert!(issued.take_samples(START + DAY).is_empty());
    }
}
