//! One watcher per series, fed in time order; what they tell becomes anomalies.
//!
//! After a restart the stored history is scored again so that no detector starts cold. What it finds up to the time
//! that was scored before is known already: told once, not twice. An anomaly that was open then goes on under its
//! old start.
//!
//! What is promised of samples out of order: those of one batch are sorted before they are scored, and across batches
//! a sample that is not after the series' last is left unscored and counted. So scores depend on what was sent, and
//! not on how it was cut into chunks here. The store sorts everything, so a restart may score what came late.
//!
//! A sample from the future would make every later one late, for years if its clock is wrong enough. Beyond
//! [`AHEAD`] it is stored and counted, and not scored.

use std::cmp::Reverse;

use hashbrown::{HashMap, HashSet};

use super::anomalies::Anomalies;
use super::issued::is_own;
use super::roster::{About, Roster, SILENCE};
use super::settings::{WatchSettings, memory_of};
use crate::detect::{AlarmKinds, Anomaly, Settings, Transition, Watcher};
use crate::presets::{Presets, Rule};
use crate::series::{Batch, Key, MINUTE, Millis, Sample, Series, SeriesId, resolve};

/// Samples up to this far in the future are scored; clocks differ.
pub(super) const AHEAD: Millis = 10 * MINUTE;

/// What became of some samples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fed {
    /// Scored.
    pub n_scored: u64,
    /// Not after the series' last sample.
    pub n_late: u64,
    /// Too far in the future.
    pub n_ahead: u64,
    /// Anomalies that began.
    pub n_opened: u64,
}

/// Where samples come from, which says when their series was last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// They have just arrived.
    Arrived,
    /// They were stored at some time or other.
    Stored,
}

struct Watched {
    watcher: Watcher,
    last_at: Millis,
    /// Up to when the samples were scored before the restart.
    known_until: Option<Millis>,
    /// The current anomaly's start by the watcher, and the start under which it is told; `None` keeps it untold.
    alias: Option<Box<(Millis, Option<Millis>)>>,
}

/// Every series that is scored.
pub(super) struct Scoring {
    presets: Presets,
    settings: WatchSettings,
    // Boxed, as a table has places for nearly twice as many as it holds.
    watched: HashMap<Key, Box<Watched>>,
    alarm_kinds: AlarmKinds,
    /// Up to when series were scored before this start, or before they fell silent.
    scored: HashMap<SeriesId, Millis>,
}

impl Scoring {
    /// `scored` says up to when each series was scored before `now`; what lies after it is an error of the past.
    pub fn new(
        presets: Presets,
        settings: WatchSettings,
        mut scored: HashMap<SeriesId, Millis>,
        now: Millis,
    ) -> Scoring {
        for until in scored.values_mut() {
            *until = (*until).min(now);
        }
        Scoring { presets, settings, watched: HashMap::new(), alarm_kinds: AlarmKinds::default(), scored }
    }

    /// Gives places to series with stored history, whose newest sample is at the instant beside each: those that are
    /// not silent first, of these those with a preset, of these the latest.
    pub fn enlist(&self, found: Vec<(Key, Millis)>, now: Millis, roster: &mut Roster) {
        let with_about = |(key, at): (Key, Millis)| {
            let about = self.about(&key);
            (key, at.min(now), about)
        };
        let mut order: Vec<(Key, Millis, About)> = found.into_iter().map(with_about).collect();
        let is_silent = |at: Millis| now.saturating_sub(at) > SILENCE;
        order.sort_unstable_by_key(|(key, at, about)| (is_silent(*at), !about.has_rule, Reverse(*at), key.id()));
        for (key, at, about) in order {
            roster.see(&key, at, 0, || about);
        }
    }

    /// Scores samples of one series at `now`.
    pub fn feed(
        &mut self,
        series: &Series,
        origin: Origin,
        now: Millis,
        roster: &mut Roster,
        anomalies: &mut Anomalies,
    ) -> Fed {
        let mut fed = Fed::default();
        let Series { key, samples } = series;
        let Some(last) = samples.last() else { return fed };
        let seen_at = if origin == Origin::Arrived { now } else { last.at.min(now) };
        let spacing = last.at.saturating_sub(samples[samples.len().saturating_sub(2)].at).max(0);
        let seen = roster.see(key, seen_at, spacing, || self.about(key));
        if seen.is_measure
            && let Some(last) = samples.iter().rev().find(|sample| sample.value.is_finite())
        {
            roster.measure(key, last.value);
        }
        if !seen.is_scored || !self.is_watched(key, roster) {
            return fed;
        }
        let Some(series) = self.watched.get_mut(key) else { return fed };
        let end = now.saturating_add(AHEAD);
        for sample in samples {
            if sample.at <= series.last_at {
                fed.n_late += 1;
                continue;
            }
            if sample.at > end {
                fed.n_ahead += 1;
                continue;
            }
            if series.known_until.is_some_and(|until| sample.at > until) {
                series.known_until = None;
                series.resume(key, anomalies);
            }
            series.last_at = sample.at;
            fed.n_scored += 1;
            let transition = series.watcher.step(*sample).transition;
            if series.known_until.is_none()
                && let Some(transition) = transition
            {
                fed.n_opened += u64::from(series.tell(key, transition, anomalies));
            }
        }
        if series.known_until.is_none()
            && let Some(anomaly) = series.watcher.open_anomaly()
            && let Some(anomaly) = series.renamed(anomaly)
        {
            anomalies.touch(key, anomaly);
        }
        fed
    }

    /// What the presets know of a series.
    fn about(&self, key: &Key) -> About {
        let rule = self.presets.rule_for(key);
        let mut limits = self
            .presets
            .presets()
            .iter()
            .flat_map(|preset| &preset.rules)
            .filter_map(|rule| rule.limit_metric.as_ref());
        About {
            // What is recorded of forecasts is not forecast again.
            is_wanted: rule.is_none_or(|rule| rule.watch) && !is_own(key),
            has_rule: rule.is_some(),
            has_limit: rule.is_some_and(|rule| rule.metric.limit.is_some() || rule.limit_metric.is_some()),
            is_measure: limits.any(|limit| limit.selector.matches(key.labels())),
            cost: memory_of(self.detector_for(rule)),
        }
    }

    fn detector_for<'a>(&'a self, rule: Option<&'a Rule>) -> &'a str {
        rule.and_then(|rule| rule.detector.as_deref()).unwrap_or(&self.settings.detector)
    }

    /// Whether the series, which has a place, has a watcher; it gets one now if need be.
    fn is_watched(&mut self, key: &Key, roster: &mut Roster) -> bool {
        if self.watched.contains_key(key) {
            return true;
        }
        let Some(mut watcher) = self.watcher_for(key) else {
            roster.give_up(key);
            return false;
        };
        watcher.share(&mut self.alarm_kinds);
        let known_until = self.scored.get(&key.id()).copied();
        let series = Watched { watcher, last_at: Millis::MIN, known_until, alias: None };
        self.watched.insert(key.clone(), Box::new(series));
        true
    }

    fn watcher_for(&self, key: &Key) -> Option<Watcher> {
        let rule = self.presets.rule_for(key);
        let metric = self.presets.settings_by(rule);
        let kind = metric.kind_of(key.metric());
        let settings = Settings { metric, ..Settings::default() };
        let named = self.detector_for(rule);
        let build = |name: &str| Watcher::new(name, &settings, self.settings.alarm.clone(), kind);
        match build(named).or_else(|error| {
            tracing::warn!(series = %key, detector = named, %error, "the detector does not start; `auto` takes its place");
            build("auto")
        }) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(series = %key, %error, "no detector starts; the series is not watched");
                None
            }
        }
    }

    /// After the stored history was scored: what was open before the restart and is no more ends where it was.
    pub fn end_backfill(&self, anomalies: &mut Anomalies) {
        let gone: Vec<Key> = anomalies.open_keys().filter(|key| !self.watched.contains_key(*key)).cloned().collect();
        for key in gone {
            anomalies.close(&key);
        }
    }

    /// Ends the open anomalies of series that are silent, and lets go of the scorers that lost their place.
    ///
    /// Up to when series were scored is forgotten when a restart would not score that far back.
    pub fn renew(&mut self, now: Millis, roster: &mut Roster, anomalies: &mut Anomalies) {
        for key in roster.renew(now, self.settings.forget_after) {
            anomalies.close(&key);
            if let Some(series) = self.watched.remove(&key)
                && series.last_at > Millis::MIN
            {
                self.scored.insert(key.id(), series.scored_until());
            }
        }
        let silent: Vec<Key> = anomalies.open_keys().filter(|key| roster.is_silent(key, now)).cloned().collect();
        for key in silent {
            anomalies.close(&key);
        }
        let first = now.saturating_sub(self.settings.backfill);
        self.scored.retain(|_, until| *until >= first);
    }

    /// Up to when each series is scored.
    pub fn scored(&self) -> Vec<(SeriesId, Millis)> {
        let mut all = self.scored.clone();
        all.extend(self.watched.iter().map(|(key, series)| (key.id(), series.scored_until())));
        let mut scored: Vec<_> = all.into_iter().collect();
        scored.sort_unstable();
        scored
    }
}

impl Watched {
    fn scored_until(&self) -> Millis {
        self.known_until.map_or(self.last_at, |until| until.max(self.last_at))
    }

    /// The first sample after what was scored before a restart: joins what was open then with what is open now.
    fn resume(&mut self, key: &Key, anomalies: &mut Anomalies) {
        let before = anomalies.open_of(key).map(|anomaly| anomaly.start);
        match (self.watcher.open_anomaly(), before) {
            (Some(now), before) => self.alias = Some(Box::new((now.start, before))),
            (None, Some(_)) => anomalies.close(key),
            (None, None) => {}
        }
    }

    /// The anomaly under the start it was first told with; `None` when it was told and ended before the restart.
    fn renamed(&self, mut anomaly: Anomaly) -> Option<Anomaly> {
        match self.alias.as_deref() {
            Some(&(start, told)) if start == anomaly.start => {
                anomaly.start = told?;
                Some(anomaly)
            }
            _ => Some(anomaly),
        }
    }

    /// Takes note of a transition; whether an anomaly opened.
    fn tell(&mut self, key: &Key, transition: Transition, anomalies: &mut Anomalies) -> bool {
        let (is_opening, anomaly) = match transition {
            Transition::Opened(anomaly) => (true, anomaly),
            Transition::Grew(anomaly) | Transition::Closed(anomaly) => (false, anomaly),
        };
        let Some(mut anomaly) = self.renamed(anomaly) else { return false };
        if let Some(before) = anomalies.open_of(key)
            && before.start == anomaly.start
            && before.score > anomaly.score
        {
            // The peak lies before the restart's history: it is remembered, not seen again.
            let (end, is_open) = (anomaly.end, anomaly.is_open);
            anomaly = Anomaly { end, is_open, ..before.clone() };
        }
        anomalies.change(key, anomaly);
        is_opening
    }
}

/// Gathers samples by series in order of arrival, those of one batch sorted by time; of a batch's equal timestamps
/// the later arrival stays.
pub(super) fn by_series<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> Vec<Series> {
    let mut index: HashMap<&Key, usize> = HashMap::new();
    let mut gathered: Vec<Series> = Vec::new();
    for batch in batches {
        let slots: Vec<usize> = batch
            .keys()
            .iter()
            .map(|key| {
                *index.entry(key).or_insert_with(|| {
                    gathered.push(Series { key: key.clone(), samples: Vec::new() });
                    gathered.len() - 1
                })
            })
            .collect();
        // Where this batch begins, by slot; most batches hold one sample of a series.
        let begins: Vec<usize> = slots.iter().map(|&slot| gathered[slot].samples.len()).collect();
        let mut unsorted: HashSet<usize> = HashSet::new();
        let columns = batch.columns();
        for ((&key_idx, &at), &value) in columns.key_idx.iter().zip(&columns.at).zip(&columns.value) {
            let samples = &mut gathered[slots[key_idx as usize]].samples;
            if samples.len() > begins[key_idx as usize] && samples.last().is_some_and(|last| at <= last.at) {
                unsorted.insert(key_idx as usize);
            }
            samples.push(Sample { at, value });
        }
        for idx in unsorted {
            let samples = &mut gathered[slots[idx]].samples;
            let sorted = resolve(&samples[begins[idx]..]);
            samples.truncate(begins[idx]);
            samples.extend(sorted);
        }
    }
    gathered.retain(|series| !series.samples.is_empty());
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{DAY, HOUR};

    const NOW: Millis = 1_760_000_000_000;

    struct Bench {
        scoring: Scoring,
        roster: Roster,
        anomalies: Anomalies,
    }

    impl Bench {
        fn new(scored: &[(&Key, Millis)]) -> Bench {
            let settings = WatchSettings::default();
            let scored = scored.iter().map(|(key, until)| (key.id(), *until)).collect();
            Bench {
                roster: Roster::new(settings.memory as usize),
                scoring: Scoring::new(Presets::none(), settings, scored, NOW),
                anomalies: Anomalies::default(),
            }
        }

        fn feed(&mut self, key: &Key, samples: &[Sample], now: Millis) -> Fed {
            let series = Series { key: key.clone(), samples: samples.to_vec() };
            self.scoring.feed(&series, Origin::Arrived, now, &mut self.roster, &mut self.anomalies)
        }
    }

    fn key() -> Key {
        Key::from_pairs("load", &[]).unwrap()
    }

    /// One a minute, up to now, with a spike at the end.
    fn samples(n: i64) -> Vec<Sample> {
        let value = |i: i64| if i == n - 1 { 99.0 } else { ((i * 7919) % 100) as f64 / 100.0 };
        (0..n).map(|i| Sample { at: NOW - (n - 1 - i) * MINUTE, value: value(i) }).collect()
    }

    #[test]
    fn a_sample_from_the_future_is_counted_and_silences_nobody() {
        let mut bench = Bench::new(&[]);
        let (key, samples) = (key(), samples(300));
        let (before, after) = samples.split_at(200);
        assert_eq!(bench.feed(&key, before, NOW).n_scored, 200);
        let in_2199 = Sample { at: 7_226_582_400_000, value: 0.5 };
        let fed = bench.feed(&key, &[in_2199], NOW);
        assert_eq!((fed.n_scored, fed.n_ahead, fed.n_late), (0, 1, 0));
        let fed = bench.feed(&key, after, NOW);
        assert_eq!((fed.n_scored, fed.n_late, fed.n_opened), (100, 0, 1));
        assert_eq!(bench.scoring.scored(), [(key.id(), NOW)]);
        // A clock that is a little fast is no reason to look away.
        assert_eq!(bench.feed(&key, &[Sample { at: NOW + MINUTE, value: 0.5 }], NOW).n_scored, 1);
    }

    #[test]
    fn what_was_scored_until_the_future_is_scored_until_now() {
        let key = key();
        let mut bench = Bench::new(&[(&key, 7_226_582_400_000)]);
        let mut stored = samples(300);
        stored[150].value = 99.0;
        bench.feed(&key, &stored[..299], NOW);
        assert_eq!(bench.anomalies.take_dirty(), [], "known from before");
        let later: Vec<Sample> = (1..10).map(|i| Sample { at: NOW + i * MINUTE, value: 99.0 * i as f64 }).collect();
        assert_eq!(bench.feed(&key, &later, NOW + HOUR).n_scored, 9);
        assert_eq!(bench.anomalies.n_open(), 1);
    }

    #[test]
    fn who_is_silent_leaves_and_begins_anew() {
        let mut bench = Bench::new(&[]);
        let (key, samples) = (key(), samples(300));
        bench.feed(&key, &samples, NOW);
        assert_eq!(bench.anomalies.n_open(), 1);
        let Bench { scoring, roster, anomalies } = &mut bench;
        scoring.renew(NOW + MINUTE, roster, anomalies);
        assert_eq!((anomalies.n_open(), scoring.watched.len()), (1, 1));
        scoring.renew(NOW + 2 * HOUR, roster, anomalies);
        assert_eq!((anomalies.n_open(), scoring.watched.len()), (0, 1));
        scoring.renew(NOW + 2 * DAY, roster, anomalies);
        assert_eq!(
            (scoring.watched.len(), scoring.scored()),
            (0, vec![(key.id(), NOW)]),
            "a restart must not tell it again"
        );
        assert_eq!(bench.feed(&key, &[Sample { at: NOW + 2 * DAY, value: 1.0 }], NOW + 2 * DAY).n_scored, 1);
        let Bench { scoring, roster, anomalies } = &mut bench;
        scoring.renew(NOW + 90 * DAY, roster, anomalies);
        scoring.renew(NOW + 90 * DAY, roster, anomalies);
        assert_eq!(scoring.scored(), [], "nothing is kept for ever");
    }

    #[test]
    fn scores_do_not_depend_on_how_batches_are_gathered() {
        let key = key();
        let batch = |at: &[Millis]| {
            Batch::from_samples(at.iter().map(|&at| (key.clone(), Sample { at: NOW + at, value: at as f64 })))
        };
        let batches = [batch(&[-9, -7, -8]), batch(&[-5, -3]), batch(&[-4, -2]), batch(&[-1, -1])];
        let order = |gathered: &[Series]| -> Vec<Millis> {
            gathered.iter().flat_map(|series| &series.samples).map(|sample| sample.at - NOW).collect()
        };
        let together = by_series(&batches);
        let alone: Vec<Series> = batches.iter().flat_map(|batch| by_series([batch])).collect();
        assert_eq!(order(&together), [-9, -8, -7, -5, -3, -4, -2, -1]);
        assert_eq!(order(&together), order(&alone));
        for gathered in [together, alone] {
            let mut bench = Bench::new(&[]);
            let (mut n_scored, mut n_late) = (0, 0);
            for series in &gathered {
                let fed = bench.feed(&key, &series.samples, NOW);
                (n_scored, n_late) = (n_scored + fed.n_scored, n_late + fed.n_late);
            }
            assert_eq!((n_scored, n_late), (7, 1), "what one batch brings after a later one is late");
        }
    }

    #[test]
    fn stored_history_gives_places_to_the_living_first() {
        let about = |name: &str| Key::from_pairs(name, &[]).unwrap();
        let settings = WatchSettings::default();
        let mut roster = Roster::new(2 * memory_of("auto"));
        let scoring = Scoring::new(Presets::shipped(), settings, HashMap::new(), NOW);
        let found = [("dead", NOW - DAY), ("node_load1", NOW - 5), ("fresh", NOW), ("stale", NOW - 10)];
        scoring.enlist(found.iter().map(|(name, at)| (about(name), *at)).collect(), NOW, &mut roster);
        let is_scored = |roster: &mut Roster, name: &str| roster.see(&about(name), NOW, 0, About::default).is_scored;
        assert!(is_scored(&mut roster, "node_load1") && is_scored(&mut roster, "fresh"));
        assert!(!is_scored(&mut roster, "stale") && !is_scored(&mut roster, "dead"));
    }
}
