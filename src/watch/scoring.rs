//! One watcher per series, fed in time order; what they tell becomes anomalies.
//!
//! After a restart the stored history is scored again so that no detector starts cold. What it finds up to the time
//! that was scored before is known already: told once, not twice. An anomaly that was open then goes on under its
//! old start.

use hashbrown::{HashMap, HashSet};

use super::anomalies::Anomalies;
use super::settings::WatchSettings;
use crate::detect::{Anomaly, Settings, Transition, Watcher};
use crate::presets::{Presets, Rule};
use crate::series::{Key, MetricKind, Millis, Sample, SeriesId};

/// What became of some samples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fed {
    /// Scored.
    pub n_scored: u64,
    /// Not after the series' last sample.
    pub n_late: u64,
    /// Anomalies that began.
    pub n_opened: u64,
}

/// A series first seen, and what the presets know of it.
#[derive(Clone, Debug)]
pub(super) struct Newcomer {
    pub key: Key,
    /// Whether a preset has a rule for it.
    pub has_rule: bool,
    /// Whether the rule has a limit, or says where it is measured.
    pub has_limit: bool,
}

struct Watched {
    watcher: Watcher,
    last_at: Millis,
    last_seen: Millis,
    /// Up to when the samples were scored before the restart.
    known_until: Option<Millis>,
    /// The current anomaly's start by the watcher, and the start under which it is told; `None` keeps it untold.
    alias: Option<(Millis, Option<Millis>)>,
}

/// Every watched series.
pub(super) struct Scoring {
    presets: Presets,
    settings: WatchSettings,
    watched: HashMap<Key, Watched>,
    /// Series that are not watched, by a preset or for their number.
    unwatched: HashSet<SeriesId>,
    n_beyond: u64,
    /// Up to when each series was scored before this start.
    scored: HashMap<SeriesId, Millis>,
    newcomers: Vec<Newcomer>,
    /// The last value of series that measure a limit.
    wholes: HashMap<Key, f64>,
    measures: HashMap<SeriesId, bool>,
}

impl Scoring {
    pub fn new(presets: Presets, settings: WatchSettings, scored: HashMap<SeriesId, Millis>) -> Scoring {
        Scoring {
            presets,
            settings,
            watched: HashMap::new(),
            unwatched: HashSet::new(),
            n_beyond: 0,
            scored,
            newcomers: Vec::new(),
            wholes: HashMap::new(),
            measures: HashMap::new(),
        }
    }

    /// Scores samples of one series, sorted by time, that arrived at `now`.
    pub fn feed(&mut self, key: &Key, samples: &[Sample], now: Millis, anomalies: &mut Anomalies) -> Fed {
        let mut fed = Fed::default();
        self.note_whole(key, samples);
        if !self.watched.contains_key(key) && !self.admit(key) {
            return fed;
        }
        let Some(series) = self.watched.get_mut(key) else { return fed };
        series.last_seen = now;
        for sample in samples {
            if sample.at <= series.last_at {
                fed.n_late += 1;
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

    /// Whether the series is watched from now on.
    fn admit(&mut self, key: &Key) -> bool {
        if self.unwatched.contains(&key.id()) {
            return false;
        }
        let rule = self.presets.rule_for(key);
        let is_wanted = rule.is_none_or(|rule| rule.watch);
        let has_limit = rule.is_some_and(|rule| rule.metric.limit.is_some() || rule.limit_metric.is_some());
        let has_rule = rule.is_some();
        let watcher = if is_wanted && self.watched.len() < self.settings.max_series {
            self.watcher_for(key, rule)
        } else {
            self.n_beyond += u64::from(is_wanted);
            None
        };
        let Some(watcher) = watcher else {
            self.unwatched.insert(key.id());
            return false;
        };
        let known_until = self.scored.get(&key.id()).copied();
        let series = Watched { watcher, last_at: Millis::MIN, last_seen: 0, known_until, alias: None };
        self.watched.insert(key.clone(), series);
        self.newcomers.push(Newcomer { key: key.clone(), has_rule, has_limit });
        true
    }

    fn watcher_for(&self, key: &Key, rule: Option<&Rule>) -> Option<Watcher> {
        let metric = rule.map(|rule| rule.metric.clone()).unwrap_or_default();
        let kind: MetricKind = metric.kind_of(key.metric());
        let settings = Settings { metric, ..Settings::default() };
        let named = rule.and_then(|rule| rule.detector.as_deref()).unwrap_or(&self.settings.detector);
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

    fn note_whole(&mut self, key: &Key, samples: &[Sample]) {
        let presets = &self.presets;
        let measures = *self.measures.entry(key.id()).or_insert_with(|| {
            let mut limits =
                presets.presets().iter().flat_map(|preset| &preset.rules).filter_map(|rule| rule.limit_metric.as_ref());
            limits.any(|limit| limit.selector.matches(key.labels()))
        });
        if measures && let Some(last) = samples.iter().rev().find(|sample| sample.value.is_finite()) {
            self.wholes.insert(key.clone(), last.value);
        }
    }

    /// After the stored history was scored: what was open before the restart and is no more ends where it was.
    ///
    /// Up to when series were scored is forgotten when it lies before `first`, where the scored history began.
    pub fn end_backfill(&mut self, first: Millis, anomalies: &mut Anomalies) {
        let gone: Vec<Key> = anomalies.open_keys().filter(|key| !self.watched.contains_key(*key)).cloned().collect();
        for key in gone {
            anomalies.close(&key);
        }
        self.scored.retain(|_, until| *until >= first);
    }

    /// Ends the open anomalies of series that have been silent since before `before`.
    pub fn end_silent(&mut self, before: Millis, anomalies: &mut Anomalies) {
        let is_silent = |key: &&Key| self.watched.get(*key).is_some_and(|series| series.last_seen < before);
        let silent: Vec<Key> = anomalies.open_keys().filter(is_silent).cloned().collect();
        for key in silent {
            anomalies.close(&key);
        }
    }

    /// Series first seen since the last call.
    pub fn take_newcomers(&mut self) -> Vec<Newcomer> {
        std::mem::take(&mut self.newcomers)
    }

    /// The last value of each series that measures a limit.
    pub fn wholes(&self) -> &HashMap<Key, f64> {
        &self.wholes
    }

    /// Up to when each series is scored.
    pub fn scored(&self) -> Vec<(SeriesId, Millis)> {
        let until = |series: &Watched| series.known_until.map_or(series.last_at, |until| until.max(series.last_at));
        let mut all = self.scored.clone();
        all.extend(self.watched.iter().map(|(key, series)| (key.id(), until(series))));
        let mut scored: Vec<_> = all.into_iter().collect();
        scored.sort_unstable();
        scored
    }

    /// How many series are watched, and how many are not for their number.
    pub fn counts(&self) -> (u64, u64) {
        (self.watched.len() as u64, self.n_beyond)
    }
}

impl Watched {
    /// The first sample after what was scored before a restart: joins what was open then with what is open now.
    fn resume(&mut self, key: &Key, anomalies: &mut Anomalies) {
        let before = anomalies.open_of(key).map(|anomaly| anomaly.start);
        match (self.watcher.open_anomaly(), before) {
            (Some(now), before) => self.alias = Some((now.start, before)),
            (None, Some(_)) => anomalies.close(key),
            (None, None) => {}
        }
    }

    /// The anomaly under the start it was first told with; `None` when it was told and ended before the restart.
    fn renamed(&self, mut anomaly: Anomaly) -> Option<Anomaly> {
        match self.alias {
            Some((start, told)) if start == anomaly.start => {
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

/// Gathers samples by series, each sorted by time; of equal timestamps the later arrival stays behind and wins.
pub(super) fn by_series<'a>(samples: impl Iterator<Item = (&'a Key, Sample)>) -> Vec<(Key, Vec<Sample>)> {
    let mut index: HashMap<&Key, usize> = HashMap::new();
    let mut gathered: Vec<(Key, Vec<Sample>)> = Vec::new();
    for (key, sample) in samples {
        let at = *index.entry(key).or_insert_with(|| {
            gathered.push((key.clone(), Vec::new()));
            gathered.len() - 1
        });
        gathered[at].1.push(sample);
    }
    for (_, samples) in &mut gathered {
        if !samples.is_sorted_by(|a, b| a.at < b.at) {
            *samples = crate::series::resolve(samples);
        }
    }
    gathered
}
