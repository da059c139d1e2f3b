//! Who is there: the one list of series with when each was last seen, kept by scoring and read by everyone else.
//!
//! In: series as their samples come. Out: which of them are scored, within the memory there is; whose forecasts are
//! kept; who has a limit, and what measures it.
//!
//! Series with a preset come first. A series that falls silent leaves the list after a while, and its place sooner
//! when others wait for one; so a fleet that is renewed every night is watched as well as one that lasts.

use hashbrown::HashMap;

use crate::series::{HOUR, Key, Millis};

/// Series silent for so long have no open anomaly any more, and leave their place to others that wait.
pub(super) const SILENCE: Millis = HOUR;
/// A series is not silent before it misses so many of its own samples.
const MISSED: Millis = 3;

/// What the presets know of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    /// Whether the series is scored and forecast at all.
    pub is_wanted: bool,
    /// Whether a preset has a rule for it.
    pub has_rule: bool,
    /// Whether the rule has a limit, or says where it is measured.
    pub has_limit: bool,
    /// Whether it measures the limit of others.
    pub is_measure: bool,
    /// Bytes that its scorer takes.
    pub cost: usize,
}

/// What is to be done with the samples of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// They are scored.
    pub is_scored: bool,
    /// The last of them is a limit of others.
    pub is_measure: bool,
}

impl About {
    fn is_limited(&self) -> bool {
        self.is_wanted && self.has_limit
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    about: About,
    last_seen: Millis,
    spacing: Millis,
    /// In the order of appearance.
    nth: u64,
    is_scored: bool,
}

impl Entry {
    fn is_silent(&self, now: Millis, span: Millis) -> bool {
        now.saturating_sub(self.last_seen) > span.max(self.spacing.saturating_mul(MISSED))
    }
}

/// How the list stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RosterCounts {
    /// Series that are scored.
    pub n_scored: u64,
    /// Series that would be, had they a place.
    pub n_waiting: u64,
    /// Bytes that scorers take.
    pub cost: u64,
    /// Series that fell silent and left, since the start.
    pub n_left: u64,
}

/// Every series that has been seen lately.
#[derive(Debug)]
pub(super) struct Roster {
    budget: usize,
    cost: usize,
    series: HashMap<Key, Entry>,
    /// The last value of series that measure a limit.
    wholes: HashMap<Key, f64>,
    n_scored: usize,
    n_waiting: usize,
    n_left: u64,
    next: u64,
    version: u64,
    limited_version: u64,
}

impl Roster {
    /// An empty list, with room for scorers of `budget` bytes.
    pub fn new(budget: usize) -> Roster {
        Roster {
            budget,
            cost: 0,
            series: HashMap::new(),
            wholes: HashMap::new(),
            n_scored: 0,
            n_waiting: 0,
            n_left: 0,
            next: 0,
            version: 0,
            limited_version: 0,
        }
    }

    /// Takes note of a series that was seen at `at` and whose samples came `spacing` apart.
    ///
    /// A newcomer is scored when there is room and nobody has waited longer.
    pub fn see(&mut self, key: &Key, at: Millis, spacing: Millis, about: impl FnOnce() -> About) -> Seen {
        if let Some(entry) = self.series.get_mut(key) {
            self.version += u64::from(entry.is_silent(at, SILENCE));
            // The pause before this sample, or what is left of an earlier one.
            let pause = at.saturating_sub(entry.last_seen).max(spacing);
            entry.spacing = pause.max(entry.spacing / 2);
            entry.last_seen = entry.last_seen.max(at);
            return Seen { is_scored: entry.is_scored, is_measure: entry.about.is_measure };
        }
        let about = about();
        let is_scored = about.is_wanted && self.n_waiting == 0 && self.cost + about.cost <= self.budget;
        if is_scored {
            self.cost += about.cost;
            self.n_scored += 1;
        } else {
            self.n_waiting += usize::from(about.is_wanted);
        }
        let entry = Entry { about, last_seen: at, spacing, nth: self.next, is_scored };
        self.next += 1;
        self.version += 1;
        self.limited_version += u64::from(about.is_limited());
        self.series.insert(key.clone(), entry);
        Seen { is_scored, is_measure: about.is_measure }
    }

    /// Takes note of what a series that measures a limit measured last.
    pub fn measure(&mut self, key: &Key, value: f64) {
        self.wholes.insert(key.clone(), value);
    }

    /// The series has no scorer after all, and will get none.
    pub fn give_up(&mut self, key: &Key) {
        if let Some(entry) = self.series.get_mut(key) {
            self.limited_version += u64::from(entry.about.is_limited());
            entry.about.is_wanted = false;
            if std::mem::take(&mut entry.is_scored) {
                self.cost -= entry.about.cost;
                self.n_scored -= 1;
            }
        }
    }

    /// Lets go of who has been silent for `forget_after`, and gives places to who waits. Answers who is scored no more.
    pub fn renew(&mut self, now: Millis, forget_after: Millis) -> Vec<Key> {
        let mut gone = self.forget(now, forget_after);
        if self.n_waiting > 0 {
            gone.extend(self.promote(now));
        }
        gone
    }

    fn forget(&mut self, now: Millis, forget_after: Millis) -> Vec<Key> {
        let left: Vec<(Key, Entry)> =
            self.series.extract_if(|_, entry| entry.is_silent(now, forget_after.max(SILENCE))).collect();
        self.version += u64::from(!left.is_empty());
        self.limited_version += u64::from(left.iter().any(|(_, entry)| entry.about.is_limited()));
        let mut gone = Vec::new();
        for (key, entry) in left {
            self.wholes.remove(&key);
            self.n_left += 1;
            if entry.is_scored {
                self.cost -= entry.about.cost;
                self.n_scored -= 1;
                gone.push(key);
            } else {
                self.n_waiting -= usize::from(entry.about.is_wanted);
            }
        }
        gone
    }

    /// Who waits takes the free places and those of silent series; who has a preset also those of series without.
    fn promote(&mut self, now: Millis) -> Vec<Key> {
        let listed = |is_listed: &dyn Fn(&Entry) -> bool| -> Vec<(Key, Entry)> {
            let wanted = self.series.iter().filter(|(_, entry)| entry.about.is_wanted && is_listed(entry));
            wanted.map(|(key, entry)| (key.clone(), *entry)).collect()
        };
        let mut waiting = listed(&|entry| !entry.is_scored && !entry.is_silent(now, SILENCE));
        waiting.sort_unstable_by_key(|(_, entry)| (!entry.about.has_rule, entry.nth));
        let mut silent = listed(&|entry| entry.is_scored && entry.is_silent(now, SILENCE));
        silent.sort_unstable_by_key(|(_, entry)| std::cmp::Reverse(entry.last_seen));
        // The youngest have learned least; taken from the end.
        let mut plain = listed(&|entry| entry.is_scored && !entry.about.has_rule && !entry.is_silent(now, SILENCE));
        plain.sort_unstable_by_key(|(_, entry)| entry.nth);
        let mut gone = Vec::new();
        for (key, entry) in waiting {
            while self.cost + entry.about.cost > self.budget {
                let next = silent.pop().or_else(|| if entry.about.has_rule { plain.pop() } else { None });
                let Some((displaced, _)) = next else { return gone };
                self.set_scored(&displaced, false);
                gone.push(displaced);
            }
            self.set_scored(&key, true);
        }
        gone
    }

    fn set_scored(&mut self, key: &Key, is_scored: bool) {
        let Some(entry) = self.series.get_mut(key).filter(|entry| entry.is_scored != is_scored) else { return };
        entry.is_scored = is_scored;
        if is_scored {
            self.cost += entry.about.cost;
            (self.n_scored, self.n_waiting) = (self.n_scored + 1, self.n_waiting - 1);
        } else {
            self.cost -= entry.about.cost;
            (self.n_scored, self.n_waiting) = (self.n_scored - 1, self.n_waiting + 1);
        }
    }

    /// Whether the series is not there, or has been silent for [`SILENCE`].
    pub fn is_silent(&self, key: &Key, now: Millis) -> bool {
        self.series.get(key).is_none_or(|entry| entry.is_silent(now, SILENCE))
    }

    /// Whose forecasts are kept: at most `most` that are not silent, those with a preset first; and how many there are.
    pub fn to_forecast(&self, most: usize, now: Millis) -> (Vec<Key>, usize) {
        let mut listed = self.listed(|entry| entry.about.is_wanted && !entry.is_silent(now, SILENCE));
        listed.sort_unstable_by_key(|(_, entry)| (!entry.about.has_rule, entry.nth));
        let n_all = listed.len();
        (listed.into_iter().take(most).map(|(key, _)| key.clone()).collect(), n_all)
    }

    /// The series with a limit, in the order of their appearance; scored or not.
    pub fn limited(&self) -> Vec<Key> {
        let mut listed = self.listed(|entry| entry.about.is_limited());
        listed.sort_unstable_by_key(|(_, entry)| entry.nth);
        listed.into_iter().map(|(key, _)| key.clone()).collect()
    }

    fn listed(&self, is_listed: impl Fn(&Entry) -> bool) -> Vec<(&Key, &Entry)> {
        self.series.iter().filter(|(_, entry)| is_listed(entry)).collect()
    }

    /// The last value of each series that measures a limit.
    pub fn wholes(&self) -> impl Iterator<Item = (&Key, f64)> {
        self.wholes.iter().map(|(key, value)| (key, *value))
    }

    /// Another number whenever a series came, came back after silence, or left.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Another number whenever one of [`limited`](Roster::limited) came or left.
    pub fn limited_version(&self) -> u64 {
        self.limited_version
    }

    /// How the list stands.
    pub fn counts(&self) -> RosterCounts {
        RosterCounts {
            n_scored: self.n_scored as u64,
            n_waiting: self.n_waiting as u64,
            cost: self.cost as u64,
            n_left: self.n_left,
        }
    }

    /// Bytes of memory that the list itself takes.
    pub fn n_bytes(&self) -> usize {
        self.series.allocation_size() + self.wholes.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{DAY, MINUTE};

    const PLAIN: About = About { is_wanted: true, has_rule: false, has_limit: false, is_measure: false, cost: 10 };
    const RULED: About = About { has_rule: true, has_limit: true, ..PLAIN };

    fn key(name: &str) -> Key {
        Key::from_pairs(name, &[]).unwrap()
    }

    fn see(roster: &mut Roster, name: &str, at: Millis, about: About) -> bool {
        roster.see(&key(name), at, MINUTE, || about).is_scored
    }

    fn names(keys: &[Key]) -> Vec<&str> {
        let mut names: Vec<&str> = keys.iter().map(Key::metric).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_fleet_that_is_renewed_is_watched_and_forgotten() {
        let mut roster = Roster::new(30);
        for day in 0..30 {
            let now = day * DAY;
            for pod in 0..3 {
                see(&mut roster, &format!("pod_{day}_{pod}"), now, RULED);
            }
            roster.renew(now, DAY);
            // The dead of the day before make room at once, without being forgotten yet.
            let counts = roster.counts();
            assert_eq!((counts.n_scored, counts.cost), (3, 30), "day {day}: {counts:?}");
            assert!(counts.n_waiting <= 6, "day {day}: {counts:?}");
            let (forecast, n_all) = roster.to_forecast(2, now);
            assert_eq!((forecast.len(), n_all), (2, 3));
            assert!(forecast.iter().all(|key| key.metric().starts_with(&format!("pod_{day}_"))), "{forecast:?}");
            assert!(roster.limited().len() <= 9);
        }
        roster.renew(100 * DAY, DAY);
        assert_eq!(roster.counts(), RosterCounts { n_left: 90, ..RosterCounts::default() });
        assert_eq!(roster.limited(), []);
    }

    #[test]
    fn who_has_a_preset_comes_first() {
        let mut roster = Roster::new(20);
        assert!(see(&mut roster, "a", 0, PLAIN) && see(&mut roster, "b", 0, PLAIN));
        assert!(!see(&mut roster, "c", 0, PLAIN) && !see(&mut roster, "d", 0, RULED));
        // Of the two without a preset the younger one goes, and the one that waits without a preset waits on.
        assert_eq!(names(&roster.renew(0, DAY)), ["b"]);
        assert!(see(&mut roster, "d", 0, RULED) && see(&mut roster, "a", 0, PLAIN));
        assert!(!see(&mut roster, "b", 0, PLAIN) && !see(&mut roster, "c", 0, PLAIN));
        assert_eq!(roster.renew(0, DAY), []);
        let (forecast, _) = roster.to_forecast(10, 0);
        assert_eq!(forecast, ["d", "a", "b", "c"].map(key), "forecasts are kept scored or not");
        assert_eq!((roster.counts().n_scored, roster.counts().n_waiting), (2, 2));
    }

    #[test]
    fn who_comes_back_is_told_of_like_who_is_new() {
        let mut roster = Roster::new(100);
        see(&mut roster, "a", 0, PLAIN);
        let first = roster.version();
        see(&mut roster, "a", MINUTE, PLAIN);
        assert_eq!(roster.version(), first);
        see(&mut roster, "a", 2 * HOUR, PLAIN);
        assert_ne!(roster.version(), first);
    }

    #[test]
    fn silence_is_measured_by_the_series_own_spacing() {
        let mut roster = Roster::new(100);
        for day in 0..5 {
            see(&mut roster, "daily", day * DAY, PLAIN);
        }
        see(&mut roster, "fast", 4 * DAY, PLAIN);
        assert!(!roster.is_silent(&key("daily"), 6 * DAY) && roster.is_silent(&key("fast"), 4 * DAY + 2 * HOUR));
        assert_eq!(names(&roster.renew(6 * DAY, DAY)), ["fast"]);
        assert_eq!(names(&roster.renew(9 * DAY, DAY)), ["daily"]);
    }

    #[test]
    fn what_is_not_wanted_takes_no_place() {
        let mut roster = Roster::new(10);
        let size = About { is_wanted: false, is_measure: true, ..PLAIN };
        for _ in 0..2 {
            let seen = roster.see(&key("size"), 0, 0, || size);
            assert_eq!(seen, Seen { is_scored: false, is_measure: true });
        }
        assert!(see(&mut roster, "a", 0, PLAIN));
        roster.measure(&key("size"), 5.0);
        assert_eq!(roster.wholes().map(|(key, value)| (key.metric(), value)).collect::<Vec<_>>(), [("size", 5.0)]);
        roster.give_up(&key("a"));
        assert_eq!(roster.counts(), RosterCounts::default());
        roster.renew(10 * DAY, DAY);
        assert_eq!(roster.wholes().count(), 0);
    }
}
