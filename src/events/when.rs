//! Instants and days as people write them: RFC 3339, or without an offset in a time zone.

use std::str::FromStr;

use chrono::{
    DateTime, Datelike, Days, FixedOffset, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Weekday,
};
use chrono_tz::Tz;

use crate::forecast::Holiday;
use crate::query::parse_time;
use crate::series::Millis;

/// Where clocks and days are those of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Zone {
    /// A name of the IANA database, with its summer times.
    Named(Tz),
    /// So far ahead of UTC all year.
    Fixed(FixedOffset),
}

impl Zone {
    pub const UTC: Zone = Zone::Named(Tz::UTC);
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Zone, String> {
        if let Ok(zone) = text.parse() {
            return Ok(Zone::Named(zone));
        }
        if let Ok(offset) = text.parse() {
            return Ok(Zone::Fixed(offset));
        }
        Err(format!("`{text}` is no time zone; write a name such as Europe/Berlin, or an offset such as +02:00"))
    }
}

impl Zone {
    /// The instant at which clocks here show `local`.
    fn instant(self, local: NaiveDateTime) -> Result<Millis, String> {
        let found = match self {
            Zone::Named(zone) => zone.from_local_datetime(&local).map(|at| at.timestamp_millis()),
            Zone::Fixed(offset) => offset.from_local_datetime(&local).map(|at| at.timestamp_millis()),
        };
        match found {
            LocalResult::Single(at) => Ok(at),
            // Shown twice when clocks are put back: the first is meant.
            LocalResult::Ambiguous(first, second) => Ok(first.min(second)),
            LocalResult::None => {
                Err(format!("{local} is skipped there when clocks are put forward; take an hour later"))
            }
        }
    }

    /// An instant; `now` is what the word stands for, where it may be said.
    pub fn time(self, text: &str, now: Option<Millis>) -> Result<Millis, String> {
        let text = text.trim();
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(at.timestamp_millis());
        }
        if text.starts_with("now") {
            let now = now.ok_or_else(|| format!("`{text}` would move with the clock; write the date and time"))?;
            return parse_time(text, now).map_err(|error| error.to_string());
        }
        for form in ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
            if let Ok(local) = NaiveDateTime::parse_from_str(text, form) {
                return self.instant(local);
            }
        }
        if let Ok(date) = text.parse::<NaiveDate>() {
            return self.midnight(date);
        }
        Err(format!("`{text}` is no time; write it like 2026-12-01T08:00:00Z, or 2026-12-01T08:00 in `time_zone`"))
    }

    /// The first instant of a day. Where clocks skip midnight, the day begins at one o'clock.
    fn midnight(self, date: NaiveDate) -> Result<Millis, String> {
        let local = date.and_time(NaiveTime::MIN);
        self.instant(local).or_else(|error| {
            local.checked_add_signed(chrono::TimeDelta::hours(1)).map_or(Err(error), |later| self.instant(later))
        })
    }

    /// A day that is like `like`.
    pub fn holiday(self, text: &str, like: Weekday) -> Result<Holiday, String> {
        let text = text.trim();
        let wrong = || format!("`{text}` is no date; write it like 2026-12-25");
        let date: NaiveDate = text.parse().map_err(|_| wrong())?;
        let next = date.checked_add_days(Days::new(1)).ok_or_else(wrong)?;
        let days_to_like = i64::from(like.days_since(date.weekday()));
        Ok(Holiday { start: self.midnight(date)?, end: self.midnight(next)?, days_to_like })
    }
}
