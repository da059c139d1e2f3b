//! Where a metric's clocks hang: when its days begin.

use std::fmt;
use std::str::FromStr;

use chrono::{
    DateTime, FixedOffset, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike,
};
use chrono_tz::Tz;
use serde::de::{Deserializer, Error as _};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::time::{Millis, SECOND};

/// Seconds.
const HALF_HOUR: u32 = 1_800;

/// The time zone in which hours, days and weeks are counted; UTC unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Zone {
    /// A name of the IANA database, with its summer times.
    Named(Tz),
    /// So far ahead of UTC all year.
    Fixed(FixedOffset),
}

/// A text that names no time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time zone; write a name such as Europe/Berlin, or an offset such as +02:00")]
pub struct UnknownZone(pub String);

/// A moment that no clock of a zone shows: one of an hour that is left out when clocks are put forward, or of a day that
/// is, when a place moves to the other side of the date line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{local} is skipped there: clocks go on at {next}; take a time from then on")]
pub struct SkippedTime {
    /// What no clock shows.
    pub local: NaiveDateTime,
    /// The first time after it that they show.
    pub next: NaiveDateTime,
}

impl Default for Zone {
    fn default() -> Zone {
        Zone::UTC
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(text: &str) -> Result<Zone, UnknownZone> {
        let text = text.trim();
        let named = text.parse().map(Zone::Named).ok();
        let fixed = || text.parse().map(Zone::Fixed).ok();
        named.or_else(fixed).ok_or_else(|| UnknownZone(text.to_owned()))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Zone::Named(zone) => f.write_str(zone.name()),
            Zone::Fixed(offset) => offset.fmt(f),
        }
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Zone, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Zone {
    /// Where a day is 24 hours long and begins at a multiple of them.
    pub const UTC: Zone = Zone::Named(Tz::UTC);

    /// What clocks here are ahead of UTC at a moment, ms.
    pub fn offset_at(self, at: Millis) -> Millis {
        let seconds = match self {
            Zone::UTC => 0,
            Zone::Fixed(offset) => offset.local_minus_utc(),
            // What lies beyond the calendar has no summer time.
            Zone::Named(zone) => DateTime::from_timestamp_millis(at)
                .map_or(0, |at| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()),
        };
        Millis::from(seconds) * SECOND
    }

    /// What the calendar on the wall says at a moment; `None` beyond the years that have a calendar.
    pub fn date_at(self, at: Millis) -> Option<NaiveDate> {
        let wall = at.checked_add(self.offset_at(at))?;
        DateTime::from_timestamp_millis(wall).map(|wall| wall.date_naive())
    }

    /// Whether it is known to be as far ahead of UTC at one moment as at any other. What has a name may have had other
    /// offsets, and is not looked into.
    pub fn has_one_offset(self) -> bool {
        matches!(self, Zone::Fixed(_) | Zone::UTC)
    }

    /// The instant at which clocks here show `local`; the first, where they show it twice.
    ///
    /// # Errors
    /// When they skip it.
    pub fn instant(self, local: NaiveDateTime) -> Result<Millis, SkippedTime> {
        self.shown_at(local).ok_or_else(|| {
            // Clocks are put forward to a whole or half hour, by no more than a day.
            let since = local.num_seconds_from_midnight() % HALF_HOUR;
            let halves = (1..=50).filter_map(|nr| {
                local.checked_add_signed(TimeDelta::seconds(i64::from(nr * HALF_HOUR) - i64::from(since)))
            });
            let next = halves.into_iter().find(|later| self.shown_at(*later).is_some());
            SkippedTime { local, next: next.unwrap_or(local) }
        })
    }

    /// The same, if they show it.
    fn shown_at(self, local: NaiveDateTime) -> Option<Millis> {
        let found = match self {
            Zone::Named(zone) => zone.from_local_datetime(&local).map(|at| at.timestamp_millis()),
            Zone::Fixed(offset) => offset.from_local_datetime(&local).map(|at| at.timestamp_millis()),
        };
        match found {
            LocalResult::Single(at) => Some(at),
            // Shown twice when clocks are put back.
            LocalResult::Ambiguous(first, second) => Some(first.min(second)),
            LocalResult::None => None,
        }
    }

    /// The first instant of a day: where clocks skip midnight, of what is left of it.
    ///
    /// # Errors
    /// When they skip all of it.
    pub fn midnight(self, date: NaiveDate) -> Result<Millis, SkippedTime> {
        self.instant(date.and_time(NaiveTime::MIN))
            .or_else(|skipped| if skipped.next.date() == date { self.instant(skipped.next) } else { Err(skipped) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{DAY, HOUR, MINUTE};

    /// 2026-03-29T01:00:00Z, when clocks in Berlin go from two to three.
    const MARCH: Millis = 1_774_746_000_000;

    fn zone(text: &str) -> Zone {
        text.parse().unwrap()
    }

    #[test]
    fn the_offset_is_that_of_the_moment() {
        let berlin = zone("Europe/Berlin");
        assert_eq!([berlin.offset_at(MARCH - 1), berlin.offset_at(MARCH)], [HOUR, 2 * HOUR]);
        assert_eq!(zone(" -03:30 ").offset_at(MARCH), -(3 * HOUR + 30 * MINUTE));
        assert_eq!(zone("Asia/Kolkata").offset_at(MARCH), 5 * HOUR + 30 * MINUTE);
        for at in [Millis::MIN, MARCH, Millis::MAX] {
            assert_eq!(Zone::default().offset_at(at), 0);
        }
        assert_eq!([berlin.offset_at(Millis::MIN), berlin.offset_at(Millis::MAX)], [0; 2]);
        assert_eq!(berlin.date_at(Millis::MAX), None);
        assert!(!berlin.has_one_offset() && Zone::UTC.has_one_offset() && zone("+02:00").has_one_offset());
    }

    #[test]
    fn the_date_is_the_one_on_the_wall() {
        let date = |zone: Zone, at| zone.date_at(at).unwrap().to_string();
        let night = MARCH + 21 * HOUR;
        assert_eq!(date(zone("Europe/Berlin"), night), "2026-03-30");
        assert_eq!(date(zone("Europe/Berlin"), night - 1), "2026-03-29");
        assert_eq!(date(Zone::UTC, night), "2026-03-29");
        let midnight = |text: &str| zone(text).midnight("2026-03-29".parse().unwrap()).unwrap();
        assert_eq!(midnight("Europe/Berlin"), MARCH - 2 * HOUR);
        assert_eq!(midnight("America/New_York"), MARCH - HOUR + 4 * HOUR);
        // In Beirut the clocks skip midnight of that day.
        assert_eq!(midnight("Asia/Beirut"), MARCH - 3 * HOUR);
        assert_eq!(
            midnight("Asia/Beirut") + DAY - HOUR,
            zone("Asia/Beirut").midnight("2026-03-30".parse().unwrap()).unwrap()
        );
    }

    #[test]
    fn what_is_skipped_is_told_with_when_clocks_go_on() {
        let told = |place: &str, local: &str| zone(place).instant(local.parse().unwrap()).unwrap_err().to_string();
        let march = told("Europe/Berlin", "2026-03-29T02:40:10");
        assert!(march.contains("2026-03-29 02:40:10 is skipped there: clocks go on at 2026-03-29 03:00:00"), "{march}");
        // By half an hour, and by two.
        assert!(told("Australia/Lord_Howe", "2026-10-04T02:10:00").contains("go on at 2026-10-04 02:30:00"));
        assert!(told("Antarctica/Troll", "2026-03-29T01:10:00").contains("go on at 2026-03-29 03:00:00"));
        // Samoa went to the other side of the date line.
        let samoa = zone("Pacific/Apia").midnight("2011-12-30".parse().unwrap()).unwrap_err().to_string();
        assert!(samoa.contains("2011-12-30 00:00:00 is skipped there: clocks go on at 2011-12-31 00:00:00"), "{samoa}");
    }

    #[test]
    fn a_zone_is_written_as_it_is_read() {
        for text in ["Europe/Berlin", "UTC", "+05:30", "-08:00"] {
            assert_eq!(zone(text).to_string(), text);
            let json = serde_json::to_string(&zone(text)).unwrap();
            assert_eq!((json.as_str(), serde_json::from_str(&json).ok()), (&*format!("{text:?}"), Some(zone(text))));
        }
        for text in ["Mars/Olympus", "", "2", "+25:00"] {
            let error = text.parse::<Zone>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}` is no time zone")) && error.contains("Europe/Berlin"), "{error}");
        }
        assert!(serde_json::from_str::<Zone>("\"Mars\"").unwrap_err().to_string().contains("no time zone"));
    }
}
