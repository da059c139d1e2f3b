//! Instants and days as people write them: RFC 3339, or without an offset in a time zone.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Weekday};

use crate::forecast::Holiday;
use crate::query::parse_time;
use crate::series::{Millis, SkippedTime, Zone};

/// An instant; `now` is what the word stands for, where it may be said.
pub(super) fn time(zone: Zone, text: &str, now: Option<Millis>) -> Result<Millis, String> {
    let text = text.trim();
    let skipped = |skipped: SkippedTime| skipped.to_string();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.timestamp_millis());
    }
    if text.starts_with("now") {
        let now = now.ok_or_else(|| format!("`{text}` would move with the clock; write the date and time"))?;
        return parse_time(text, now).map_err(|error| error.to_string());
    }
    for form in ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
        if let Ok(local) = NaiveDateTime::parse_from_str(text, form) {
            return zone.instant(local).map_err(skipped);
        }
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return zone.midnight(date).map_err(skipped);
    }
    Err(format!("`{text}` is no time; write it like 2026-12-01T08:00:00Z, or 2026-12-01T08:00 in `time_zone`"))
}

/// A day that is like `like`.
pub(super) fn holiday(zone: Zone, text: &str, like: Weekday) -> Result<Holiday, String> {
    let text = text.trim();
    let wrong = || format!("`{text}` is no date; write it like 2026-12-25");
    let skipped = |skipped: SkippedTime| skipped.to_string();
    let date: NaiveDate = text.parse().map_err(|_| wrong())?;
    let next = date.checked_add_days(Days::new(1)).ok_or_else(wrong)?;
    let days_to_like = i64::from(like.days_since(date.weekday()));
    let start = zone.midnight(date).map_err(skipped)?;
    // Where the day after it is skipped, it ends as the one after that begins.
    let end = zone.midnight(next).or_else(|over| zone.instant(over.next)).map_err(skipped)?;
    Ok(Holiday { start, end, days_to_like })
}
