//! What is planned, and for which series?
//!
//! In: a YAML or JSON file of events, or the same within a question ("what if"). Out: [`PlannedEvents`], which answers
//! for a series' key the [`Events`] that concern it; what they do to forecasts is `forecast/`'s business.
//! `docs/formats/events.md` has every field.

mod read;
#[cfg(test)]
mod tests;
mod when;

use std::fmt;
use std::path::{Path, PathBuf};

use self::read::Setting;
use crate::forecast::{Effect, Event, Events};
use crate::series::{Aggregate, Key, Millis, Selector, Zone};

/// Why events cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsError {
    /// The file, when there is one.
    pub path: Option<PathBuf>,
    /// Line, from 1, when the reason has a place.
    pub line: Option<u64>,
    /// Column in characters, from 1.
    pub column: Option<u64>,
    /// What is wrong and what to do.
    pub reason: String,
}

impl fmt::Display for EventsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, self.line, self.column) {
            (Some(path), Some(line), Some(column)) => write!(f, "{}:{line}:{column}: {}", path.display(), self.reason),
            (Some(path), ..) => write!(f, "{}: {}", path.display(), self.reason),
            (None, Some(line), Some(column)) => write!(f, "line {line}, column {column}: {}", self.reason),
            (None, ..) => f.write_str(&self.reason),
        }
    }
}

impl std::error::Error for EventsError {}

#[derive(Clone, Debug)]
struct Planned {
    /// `None` is every series.
    selector: Option<Selector>,
    /// The selector as it was written, which may be the name of a series that is no metric.
    text: String,
    event: Event,
}

/// Events, each with the series it concerns.
#[derive(Clone, Debug, Default)]
pub struct PlannedEvents {
    events: Vec<Planned>,
}

impl PlannedEvents {
    /// Nothing is planned.
    pub fn none() -> PlannedEvents {
        PlannedEvents::default()
    }

    /// Reads a file, in which times without an offset are those of `zone` unless it says otherwise.
    ///
    /// # Errors
    /// When it cannot be read or says something that cannot be; with file, line and column.
    pub fn load(path: &Path, zone: Zone) -> Result<PlannedEvents, EventsError> {
        Self::load_as(path, Setting { zone, now: None, is_name: &|_| false })
    }

    /// The same for series of files, which events may call by their names: by those of which `is_name` is true.
    ///
    /// # Errors
    /// As [`PlannedEvents::load`].
    pub fn load_beside_files(
        path: &Path,
        zone: Zone,
        is_name: impl Fn(&str) -> bool,
    ) -> Result<PlannedEvents, EventsError> {
        Self::load_as(path, Setting { zone, now: None, is_name: &is_name })
    }

    fn load_as(path: &Path, setting: Setting<'_>) -> Result<PlannedEvents, EventsError> {
        let fail = |reason| EventsError { path: Some(path.to_owned()), line: None, column: None, reason };
        let bytes = std::fs::read(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|_| fail("is not UTF-8 text".to_owned()))?;
        read::read(&text, setting).map_err(|error| EventsError { path: Some(path.to_owned()), ..error })
    }

    /// Reads YAML or JSON: a mapping with `events`, or just the list of them. Times without an offset are UTC's unless
    /// it says otherwise.
    ///
    /// # Errors
    /// As [`PlannedEvents::load`], without a file.
    pub fn parse(text: &str) -> Result<PlannedEvents, EventsError> {
        read::read(text, Setting { zone: Zone::UTC, now: None, is_name: &|_| false })
    }

    /// The same within a question asked at `now` in `zone`, in which times may be written `now+2d`.
    ///
    /// # Errors
    /// As [`PlannedEvents::parse`].
    pub fn assumed(text: &str, zone: Zone, now: Millis) -> Result<PlannedEvents, EventsError> {
        read::read(text, Setting { zone, now: Some(now), is_name: &|_| false })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Those that concern the series.
    pub fn of(&self, key: &Key) -> Events {
        self.of_named(key, "")
    }

    /// Those that concern a series of a file, whose name there need not be its key's.
    pub fn of_named(&self, key: &Key, name: &str) -> Events {
        let own = self.events.iter().filter(|planned| planned.concerns(key, name));
        Events::new(own.map(|planned| planned.event.clone()).collect())
    }

    /// Those that concern the sum or mean of `members`, each a key and a name; and the names of those that cannot be
    /// reckoned with.
    ///
    /// What is added to some members is added to the sum as often, and to the mean in proportion. Anything else must
    /// concern every member: what a factor, a holiday or maintenance of some of them does to the whole is not known.
    pub fn of_aggregate<'a>(
        &self,
        members: impl Iterator<Item = (&'a Key, &'a str)> + Clone,
        how: Aggregate,
    ) -> (Events, Vec<String>) {
        let n_members = members.clone().count();
        let (mut own, mut left_out) = (Vec::new(), Vec::new());
        for planned in &self.events {
            let n = members.clone().filter(|(key, name)| planned.concerns(key, name)).count();
            if n == 0 {
                continue;
            }
            let weight = match how {
                Aggregate::Sum => n as f64,
                Aggregate::Mean => n as f64 / n_members as f64,
            };
            match planned.event.weighted(weight, n == n_members) {
                Some(event) => own.push(event),
                None => left_out.push(planned.event.name.clone()),
            }
        }
        (Events::new(own), left_out)
    }

    /// The names of those that are said to concern some series and concern none of `series`, each a key and a name:
    /// mostly a slip in a selector. Each is looked for as it is asked for, and only the first `most` of them are.
    pub fn idle<'a>(
        &self,
        series: impl Iterator<Item = (&'a Key, &'a str)> + Clone,
        most: usize,
    ) -> impl Iterator<Item = &str> {
        let narrowed = self.events.iter().filter(|planned| planned.selector.is_some()).take(most);
        let idle = narrowed.filter(move |planned| !series.clone().any(|(key, name)| planned.concerns(key, name)));
        idle.map(|planned| planned.event.name.as_str())
    }

    /// The name of one that recurs.
    pub fn recurring(&self) -> Option<&str> {
        let recurs = |planned: &&Planned| matches!(planned.event.effect, Effect::Recurring(_));
        self.events.iter().find(recurs).map(|planned| planned.event.name.as_str())
    }
}

impl Planned {
    fn concerns(&self, key: &Key, name: &str) -> bool {
        let Some(selector) = &self.selector else { return true };
        selector.matches(key.labels()) || (!name.is_empty() && self.text == name)
    }
}
