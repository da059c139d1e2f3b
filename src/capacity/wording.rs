//! The recommendation: what to do, how much of it, and by when, in words.

use chrono::DateTime;

use crate::series::{DAY, HOUR, MINUTE, Millis, Side, format_duration};

use super::answer::{CapacitySettings, Exhaustion, Limit};
use super::assess::{Course, round_span};

/// Below this share of the limit, headroom is worth a remark though nothing grows.
const TIGHT: f64 = 0.1;

/// Everything the recommendation is made of; values grow towards the limit.
pub(super) struct Situation<'a> {
    pub limit: Limit,
    pub settings: &'a CapacitySettings,
    pub now: Millis,
    pub exhaustion: &'a Exhaustion,
    pub probability: Option<f64>,
    pub last: Option<f64>,
    pub trend: Option<Course>,
    pub sign: f64,
    /// How long the history is.
    pub span: Millis,
    /// How far ahead it speaks.
    pub reach: Millis,
    /// What is planned within the horizon.
    pub planned: Vec<String>,
    /// How much of the headroom that takes while an amount is to last, and the lowest the limit then is, mirrored.
    pub taken: f64,
    pub lowest: f64,
}

impl Situation<'_> {
    /// How far ahead the answer speaks.
    fn horizon(&self) -> Millis {
        self.settings.horizon.min(self.reach)
    }

    /// For how long a recommended amount lasts: no longer than the history speaks for.
    fn keep(&self) -> Millis {
        self.settings.keep.min(self.reach)
    }

    /// What is planned, as a part of a sentence; empty when nothing is.
    fn plan(&self) -> String {
        match self.planned.as_slice() {
            [] => String::new(),
            [only] => format!(", with `{only}` planned"),
            [first, rest @ ..] => format!(", with `{first}` and {} more planned", rest.len()),
        }
    }

    /// Why the answer speaks of less than was asked; empty when it does not.
    fn caveat(&self, asked: Millis) -> String {
        if self.reach >= asked {
            return String::new();
        }
        let [span, reach] = [self.span, self.reach].map(|span| format_duration(round_span(span)));
        format!(" (the history of {span} speaks for the next {reach} only)")
    }
}

pub(super) struct Advice {
    pub text: String,
    pub amount: Option<f64>,
}

pub(super) fn advise(about: &Situation<'_>) -> Advice {
    let unit = about.settings.unit.as_deref();
    let keep = match about.keep() {
        days if days % DAY == 0 => format!("{} days", days / DAY),
        span => format_duration(round_span(span)),
    };
    let horizon = format_duration(round_span(about.horizon()));
    let quiet = |text: String| Advice { text, amount: None };
    let moving = if about.limit.side == Side::Down { "shrinking" } else { "growing" };
    let verb = if about.limit.side == Side::Down { "free or add" } else { "add" };
    let whole = about.settings.whole.unwrap_or(about.limit.value).abs();
    // A share of a remainder that must be left says nothing; of the whole that is filled it does.
    let has_shares = whole > 0.0 && (about.settings.whole.is_some() || about.limit.side != Side::Down);
    let of_limit = |amount: f64| {
        if has_shares && amount != 0.0 {
            format!("{} ({})", amount_text(amount, unit), share_text((amount / whole).abs()))
        } else {
            amount_text(amount, unit)
        }
    };
    // What a period of `keep` takes, at a growth that is exceeded with one chance in ten.
    let growth = about.trend.map_or(0.0, |course| course.slope_high.max(0.0) * about.keep() as f64);
    let pace = |course: &Course| {
        let (slope, per) = pace_of(course.slope, about.span);
        format!("{} a {per}", amount_text(slope, unit))
    };
    match about.exhaustion {
        Exhaustion::Crossed { since } => {
            let limit = about.sign * about.limit.value;
            let over = about.last.map_or(0.0, |last| (last - limit).max(0.0));
            let peak = about.trend.map_or(0.0, |course| (course.level + course.top - limit).max(0.0));
            // At the very limit with nothing growing there is still nothing left: a twentieth of it is the least.
            let amount = (over.max(peak) + growth).max(0.05 * whole);
            let since = since.map_or_else(String::new, |since| format!(" since {}", date_text(since, about.now)));
            let beyond = if about.limit.side == Side::Down { "below" } else { "at or beyond" };
            let text = format!(
                "{verb} {} now: the series has been {beyond} its limit of {}{since}; that much keeps {keep} of headroom{}",
                of_limit(amount),
                amount_text(about.limit.value, unit),
                about.caveat(about.settings.keep),
            );
            Advice { text, amount: Some(amount) }
        }
        Exhaustion::Expected { p10: None, .. } => quiet(format!(
            "nothing to do: the limit of {} is unlikely to be reached within {horizon}{}{}",
            amount_text(about.limit.value, unit),
            about
                .trend
                .filter(|course| course.slope > 0.0)
                .map_or_else(String::new, |course| format!(", {moving} by {}", pace(&course)))
                + &about.plan(),
            about.caveat(about.settings.horizon),
        )),
        Exhaustion::Expected { p10: Some(p10), p50, p90 } => {
            let limit = about.sign * about.limit.value;
            let dates = match (p50, p90) {
                (Some(p50), Some(p90)) => {
                    // Dates that fall on one day need the hour to be told apart.
                    let text = |at: Millis| if p90 - p10 < 3 * DAY { time_text(at) } else { date_text(at, about.now) };
                    format!(
                        "expected to be reached around {}, between {} and {} with 80 % probability",
                        text(*p50),
                        text(*p10),
                        text(*p90)
                    )
                }
                (Some(p50), None) => {
                    format!(
                        "expected to be reached around {}, at the earliest about {}",
                        date_text(*p50, about.now),
                        date_text(*p10, about.now)
                    )
                }
                (None, _) => format!(
                    "reached by {} with 10 % probability, and within {horizon} with {}",
                    date_text(*p10, about.now),
                    share_text(about.probability.unwrap_or(0.1))
                ),
            };
            let Some(course) = about.trend.filter(|course| course.slope > 0.0) else {
                if !about.planned.is_empty() {
                    let over = about.trend.map_or(0.0, |course| course.level + course.top - about.lowest);
                    let amount = Some(over).filter(|over| over.is_finite()).unwrap_or(0.0).max(0.05 * whole);
                    let text = format!(
                        "{verb} {} by {}{}: the limit of {} is {dates}",
                        of_limit(amount),
                        date_text(*p10, about.now),
                        about.plan(),
                        amount_text(about.limit.value, unit)
                    );
                    return Advice { text, amount: Some(amount) };
                }
                // It comes and goes: enough is what its usual peak needs, and a little more.
                let over = about.trend.map_or(0.0, |course| (course.level + course.top - limit).max(0.0));
                let amount = over.max(0.05 * whole);
                let text = format!(
                    "{verb} {}: the limit of {} is reached now and then without lasting growth; next {}",
                    of_limit(amount),
                    amount_text(about.limit.value, unit),
                    date_text(p50.unwrap_or(*p10), about.now)
                );
                return Advice { text, amount: Some(amount) };
            };
            let text = format!(
                "{verb} {} by {} to keep {keep} of headroom: {moving} by {}{}, the limit of {} is {dates}{}",
                of_limit(growth + about.taken),
                date_text(*p10, about.now),
                pace(&course),
                about.plan(),
                amount_text(about.limit.value, unit),
                about.caveat(about.settings.keep)
            );
            Advice { text, amount: Some(growth + about.taken) }
        }
        Exhaustion::NotGrowing => {
            let left = about.trend.map(|course| about.sign * about.limit.value - course.level - course.top);
            let tight = left.is_some_and(|left| left < TIGHT * whole);
            let odds = about.probability.filter(|probability| *probability >= 0.1);
            let left = left.map_or_else(String::new, |left| {
                if left > 0.0 {
                    format!("; usual peaks leave {}", of_limit(left))
                } else {
                    "; usual peaks reach the limit".to_owned()
                }
            });
            let text = match odds {
                Some(odds) => format!(
                    "watch it: the series does not grow, but wanders; the limit of {} is reached within {horizon} with {} probability{left}",
                    amount_text(about.limit.value, unit),
                    share_text(odds)
                ),
                None if tight => format!("little headroom, though the series does not grow{left}"),
                None => format!(
                    "nothing to do: the series does not grow towards {}{left}{}",
                    amount_text(about.limit.value, unit),
                    about.plan()
                ),
            };
            quiet(text + &about.caveat(about.settings.horizon))
        }
        Exhaustion::Unknown { reason } => quiet(format!("no advice: {reason}")),
    }
}

/// A slope per ms as an amount per day, or per hour or minute when the history is shorter than a few of the longer.
fn pace_of(slope: f64, span: Millis) -> (f64, &'static str) {
    let units = [(DAY, "day"), (HOUR, "hour")];
    let (unit, name) = units.into_iter().find(|(unit, _)| span >= 2 * unit).unwrap_or((MINUTE, "minute"));
    (slope * unit as f64, name)
}

fn time_text(at: Millis) -> String {
    DateTime::from_timestamp_millis(at)
        .map_or_else(|| format!("{at} ms"), |time| time.format("%Y-%m-%d %H:%M UTC").to_string())
}

/// A date, with the time of day when it is within three days of `now`.
fn date_text(at: Millis, now: Millis) -> String {
    let text = time_text(at);
    if (at - now).abs() < 3 * DAY { text } else { text.split(' ').next().unwrap_or_default().to_owned() }
}

fn share_text(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 1.0 || percent == 0.0 { format!("{percent:.0} %") } else { format!("{percent:.2} %") }
}

/// An amount for reading: `120 GiB`, `35 percentage points`, `1.5 h`, `1,200 connections`.
///
/// `bytes` go by 1,024, `ratio` is shown as percentage points of it, `seconds` in the unit that fits, `percent` and
/// every other unit are written behind the number.
pub fn amount_text(amount: f64, unit: Option<&str>) -> String {
    match unit {
        Some("bytes") => scaled(amount, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]),
        Some("bytes per second" | "bytes/s") => {
            scaled(amount, 1024.0, &["B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s", "PiB/s"])
        }
        Some("ratio") => format!("{} %", digits(amount * 100.0)),
        Some("percent") => format!("{} %", digits(amount)),
        Some("seconds") => {
            let size = amount.abs();
            let (per, name) = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")]
                .into_iter()
                .find(|(per, _)| size >= *per)
                .unwrap_or((1e-6, "us"));
            if size == 0.0 { "0 s".to_owned() } else { format!("{} {name}", digits(amount / per)) }
        }
        Some(unit) => format!("{} {unit}", digits(amount)),
        None => digits(amount),
    }
}

fn scaled(amount: f64, base: f64, names: &[&str]) -> String {
    let mut amount = amount;
    let mut idx = 0;
    while amount.abs() >= base && idx + 1 < names.len() {
        amount /= base;
        idx += 1;
    }
    format!("{} {}", digits(amount), names[idx])
}

/// Three significant digits, thousands separated.
fn digits(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return value.to_string();
    }
    if size != 0.0 && !(1e-4..1e15).contains(&size) {
        return format!("{value:.2e}");
    }
    let places = match size {
        size if size >= 100.0 || size == 0.0 => 0,
        size => (2 - size.log10().floor() as i32).max(0) as usize,
    };
    let mut text = format!("{value:.places$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    if size >= 1e4 && places == 0 {
        let (sign, bare) = text.strip_prefix('-').map_or(("", text.as_str()), |bare| ("-", bare));
        let groups: Vec<&str> =
            bare.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
        text = format!("{sign}{}", groups.join(","));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_like_people_write_them() {
        for (amount, unit, expected) in [
            (120.0 * 1024f64.powi(3), Some("bytes"), "120 GiB"),
            (1536.0, Some("bytes"), "1.5 KiB"),
            (-5.0, Some("bytes"), "-5 B"),
            (0.123, Some("ratio"), "12.3 %"),
            (5400.0, Some("seconds"), "1.5 h"),
            (0.25, Some("seconds"), "250 ms"),
            (1_234_567.0, Some("connections"), "1,234,567 connections"),
            (0.0, None, "0"),
            (1234.5, None, "1234"),
            (0.00123, None, "0.00123"),
        ] {
            assert_eq!(amount_text(amount, unit), expected);
        }
    }

    #[test]
    fn dates_carry_the_hour_when_it_matters() {
        let now = 1_764_720_000_000;
        assert_eq!(date_text(now + 10 * DAY, now), "2025-12-13");
        assert_eq!(date_text(now + DAY / 2, now), "2025-12-03 12:00 UTC");
    }
}
