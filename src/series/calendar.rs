//! Samples that stand on a day of the month: first days, last days, pay days, of every month, quarter or year.
//!
//! Months are not equally long, and what models see is an even grid. So such samples are counted in months into its
//! cells, whose step is the Gregorian calendar's mean month, and wherever a cell of it has a time, it is that of the
//! month's day next to it. An even grid that begins on such a day is off by a few days at most, and these days lie 28 or
//! more apart: the next is the right one.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use super::sample::Sample;
use super::time::{DAY, Millis, Step};
use super::zone::{SkippedTime, Zone};

/// Twelve months, in the mean over the 400 years after which the Gregorian calendar repeats itself.
const YEAR: Millis = 31_556_952_000;

/// Timestamps below which a day of the month is a chance.
const LEAST: usize = 3;

/// No months, quarters or years are so much longer or shorter than their mean; and two years are not four.
const UNEVEN: Millis = 3 * DAY;

/// No two months begin closer together, whatever clocks do.
const SHORTEST: Millis = 27 * DAY;

/// The instant of each month at which samples stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Calendar {
    /// The day of the month, from 1; months that do not have it have their last.
    day: u32,
    /// What clocks show on that day, from midnight.
    of_day: Millis,
    /// Whose days and clocks these are.
    zone: Zone,
}

impl Calendar {
    /// Where each of `resolved` stands on the same day of its month at the same time, in `zone` or in UTC, the calendar
    /// and how many months lie between them: the same usual number, or multiples of it where some are missing.
    pub fn of(resolved: &[Sample], zone: Zone) -> Option<(Calendar, u32)> {
        // Most series are told apart by the first two.
        let is_close = |pair: &[Sample]| pair[1].at.saturating_sub(pair[0].at) < SHORTEST;
        if resolved.len() < LEAST || resolved.windows(2).any(is_close) {
            return None;
        }
        // A date without a time is read as its midnight in UTC, wherever the metric is.
        let is_dated = resolved.iter().all(|sample| sample.at.rem_euclid(DAY) == 0);
        let zones = if is_dated { [Zone::UTC, zone] } else { [zone, Zone::UTC] };
        zones.into_iter().find_map(|zone| Calendar::in_zone(resolved, zone))
    }

    fn in_zone(resolved: &[Sample], zone: Zone) -> Option<(Calendar, u32)> {
        let dates: Vec<NaiveDate> = resolved.iter().map(|sample| zone.date_at(sample.at)).collect::<Option<_>>()?;
        let day = dates.iter().map(Datelike::day).max()?;
        // The earliest: where clocks skip it, a sample stands later.
        let of_day = resolved.iter().map(|it| (it.at.saturating_add(zone.offset_at(it.at))).rem_euclid(DAY)).min()?;
        let calendar = Calendar { day, of_day, zone };
        // What clocks show twice is that time of the day both times.
        let is_there = |at: Millis, month: i64| {
            let wall = DateTime::from_timestamp_millis(at.saturating_add(zone.offset_at(at))).map(|it| it.naive_utc());
            wall.is_some() && wall == calendar.local(month) || calendar.in_month(month) == Some(at)
        };
        if !resolved.iter().zip(&dates).all(|(sample, date)| is_there(sample.at, months(*date))) {
            return None;
        }
        let mut between: Vec<i64> = dates.windows(2).map(|pair| months(pair[1]) - months(pair[0])).collect();
        between.sort_unstable();
        let usual = between[(between.len() - 1) / 2];
        let is_even = usual > 0 && between.iter().all(|n| *n > 0 && n % usual == 0);
        u32::try_from(usual).ok().filter(|_| is_even).map(|usual| (calendar, usual))
    }

    /// The mean length of `n` months.
    pub(super) fn step(n: u32) -> Option<Step> {
        Step::new(Millis::from(n).saturating_mul(YEAR) / 12)
    }

    /// How many months such a step is.
    pub fn months_in(step: Step) -> i64 {
        (step.millis().saturating_mul(12).saturating_add(YEAR / 2) / YEAR).max(1)
    }

    /// The mean of as many months as `step` is; `None` where it is no number of months.
    pub fn even(step: Step) -> Option<Step> {
        let even = Calendar::step(u32::try_from(Calendar::months_in(step)).ok()?)?;
        Some(even).filter(|even| even.millis().abs_diff(step.millis()) <= UNEVEN.unsigned_abs())
    }

    /// In which month `at` lies, counted from the year 0; `None` beyond all calendars.
    pub fn month_of(self, at: Millis) -> Option<i64> {
        self.zone.date_at(at).map(months)
    }

    /// The calendar's instant next to `at`; `at` itself beyond all calendars.
    pub fn next_to(self, at: Millis) -> Millis {
        let Some(month) = self.month_of(at) else { return at };
        let near = (month - 1..=month + 1).filter_map(|month| self.in_month(month));
        near.min_by_key(|known| known.abs_diff(at)).unwrap_or(at)
    }

    /// The calendar's instant in a month, as [`Calendar::month_of`] counts them; `None` beyond all calendars.
    pub fn in_month(self, month: i64) -> Option<Millis> {
        let local = self.local(month)?;
        self.zone.instant(local).or_else(|skipped| self.after(local, skipped)).ok()
    }

    /// What clocks are to show then.
    fn local(self, month: i64) -> Option<NaiveDateTime> {
        let (year, nr) = (i32::try_from(month.div_euclid(12)).ok()?, u32::try_from(month.rem_euclid(12)).ok()? + 1);
        let midnight = self.day_in(year, nr)?.and_time(NaiveTime::MIN);
        midnight.checked_add_signed(TimeDelta::milliseconds(self.of_day))
    }

    /// Where `local` would have been, had clocks not been put forward: later by as much as they were.
    fn after(self, local: NaiveDateTime, skipped: SkippedTime) -> Result<Millis, SkippedTime> {
        let next = self.zone.instant(skipped.next)?;
        let forward = self.zone.offset_at(next).saturating_sub(self.zone.offset_at(next.saturating_sub(DAY)));
        self.zone.instant(local.checked_add_signed(TimeDelta::milliseconds(forward)).unwrap_or(skipped.next))
    }

    /// The day in a month.
    fn day_in(self, year: i32, month: u32) -> Option<NaiveDate> {
        let first = NaiveDate::from_ymd_opt(year, month, 1)?;
        first.with_day(self.day.min(u32::from(first.num_days_in_month())))
    }
}

/// The months since the year 0.
fn months(date: NaiveDate) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month0())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{History, MetricKind};

    fn at(text: &str) -> Millis {
        format!("{text}Z").parse::<DateTime<chrono::Utc>>().unwrap().timestamp_millis()
    }

    fn samples(texts: &[&str]) -> Vec<Sample> {
        texts.iter().enumerate().map(|(nr, text)| Sample { at: at(text), value: nr as f64 }).collect()
    }

    fn months_of(texts: &[&str]) -> Option<u32> {
        Calendar::of(&samples(texts), Zone::UTC).map(|(_, months)| months)
    }

    #[test]
    fn days_of_months_quarters_and_years_are_found_and_others_are_not() {
        for (texts, expected) in [
            (["2024-01-01T00:00:00", "2024-02-01T00:00:00", "2024-03-01T00:00:00"], Some(1)),
            (["2023-12-31T00:00:00", "2024-01-31T00:00:00", "2024-02-29T00:00:00"], Some(1)),
            (["2024-04-30T23:00:00", "2024-06-30T23:00:00", "2024-08-31T23:00:00"], Some(2)),
            (["2023-03-31T00:00:00", "2023-06-30T00:00:00", "2023-12-31T00:00:00"], Some(3)),
            (["2022-02-28T00:00:00", "2023-02-28T00:00:00", "2024-02-29T00:00:00"], Some(12)),
            (["2022-03-15T06:30:00", "2023-03-15T06:30:00", "2024-03-15T06:30:00"], Some(12)),
            // 28 days, 30 days, one minute early, two in a month, uneven.
            (["2023-02-01T00:00:00", "2023-03-01T00:00:00", "2023-03-29T00:00:00"], None),
            (["2023-04-01T00:00:00", "2023-05-01T00:00:00", "2023-05-31T00:00:00"], None),
            (["2024-01-01T00:00:00", "2024-02-01T00:00:00", "2024-02-29T23:59:00"], None),
            (["2024-01-01T00:00:00", "2024-01-02T00:00:00", "2024-01-03T00:00:00"], None),
            (["2024-01-01T00:00:00", "2024-03-01T00:00:00", "2024-06-01T00:00:00"], None),
        ] {
            assert_eq!(months_of(&texts), expected, "{texts:?}");
        }
        assert_eq!(months_of(&["2024-01-01T00:00:00", "2024-02-01T00:00:00"]), None);
    }

    #[test]
    fn cells_stand_on_the_day_for_centuries_and_gaps_are_cells() {
        for (first, day, months) in [
            ("1900-01-01T00:00:00", 1, 1),
            ("2015-01-31T12:00:00", 31, 1),
            ("1999-11-30T00:00:00", 30, 3),
            ("2004-02-29T00:00:00", 29, 12),
        ] {
            let calendar = Calendar { day, of_day: at(first).rem_euclid(DAY), zone: Zone::UTC };
            let start = Zone::UTC.date_at(at(first)).unwrap();
            let expected = |nr: i64| {
                let all = super::months(start) + nr * i64::from(months);
                let day = calendar.day_in(all.div_euclid(12) as i32, all.rem_euclid(12) as u32 + 1).unwrap();
                day.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp_millis() + calendar.of_day
            };
            let present = (0..400).filter(|nr| nr % 7 != 3);
            let samples: Vec<Sample> = present.map(|nr| Sample { at: expected(nr), value: nr as f64 }).collect();
            let history = History::from_samples(&samples, MetricKind::Gauge, None).unwrap();
            assert_eq!((history.len(), history.n_gaps(), history.start()), (400, 57, at(first)), "{first}");
            for nr in 0..1_000 {
                assert_eq!(history.at(nr as usize), expected(nr), "{first} {nr}");
            }
            let tail = history.tail(11).slice(1, 5);
            assert_eq!((tail.at(2), tail.values()[2]), (expected(392), 392.0));
        }
    }

    #[test]
    fn months_are_those_of_the_zone_and_dates_stay_dates() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        // First days of months at midnight in Berlin, in winter and in summer.
        let firsts = ["2023-12-31T23:00:00", "2024-01-31T23:00:00", "2024-02-29T23:00:00", "2024-03-31T22:00:00"];
        let (calendar, months) = Calendar::of(&samples(&firsts), berlin).unwrap();
        assert_eq!((calendar, months), (Calendar { day: 1, of_day: 0, zone: berlin }, 1));
        assert_eq!(Calendar::of(&samples(&firsts), Zone::UTC), None);
        let history = History::from_samples_in(berlin, &samples(&firsts), MetricKind::Gauge, None).unwrap();
        assert_eq!((history.len(), history.end()), (4, at("2024-04-30T22:00:00")));
        assert_eq!(history.at(10), at("2024-10-31T23:00:00"));
        // In winter alone the last days at eleven in UTC would do as well; they would be an hour late in summer.
        assert_eq!(Calendar::of(&samples(&firsts[..3]), berlin), Some((calendar, 1)));
        // Dates are read as midnights in UTC: that is where they go on, though in winter it is one o'clock there.
        let dated = ["2023-12-01T00:00:00", "2024-01-01T00:00:00", "2024-02-01T00:00:00"];
        let (calendar, _) = Calendar::of(&samples(&dated), berlin).unwrap();
        assert_eq!(calendar.next_to(at("2024-06-02T05:00:00")), at("2024-06-01T00:00:00"));
        // What is recorded by UTC elsewhere stays by UTC.
        let noons = ["2024-03-01T12:00:00", "2024-04-01T12:00:00", "2024-05-01T12:00:00"];
        assert_eq!(Calendar::of(&samples(&noons), berlin).map(|(calendar, _)| calendar.zone), Some(Zone::UTC));
        // In Beirut the clocks skip midnight of 2024-03-31.
        let beirut: Zone = "Asia/Beirut".parse().unwrap();
        let lasts = ["2024-01-30T22:00:00", "2024-02-28T22:00:00", "2024-03-30T22:00:00", "2024-04-29T21:00:00"];
        let (calendar, _) = Calendar::of(&samples(&lasts), beirut).unwrap();
        assert_eq!((calendar.day, calendar.of_day), (31, 0));
        assert_eq!(calendar.next_to(at("2024-03-30T00:00:00")), at("2024-03-30T22:00:00"));
        assert_eq!(calendar.next_to(at("2024-05-30T00:00:00")), at("2024-05-30T21:00:00"));
    }

    #[test]
    fn hours_shown_twice_or_skipped_keep_the_day() {
        let of =
            |zone: &str, texts: &[&str]| Calendar::of(&samples(texts), zone.parse().unwrap()).map(|(found, _)| found);
        // Both half past twos of the night in which clocks are put back.
        for twice in ["2021-10-31T00:30:00", "2021-10-31T01:30:00"] {
            let found =
                of("Europe/Berlin", &["2021-08-31T00:30:00", "2021-09-30T00:30:00", twice, "2021-11-30T01:30:00"]);
            assert_eq!(
                found.map(|it| it.next_to(at("2021-12-30T00:00:00"))),
                Some(at("2021-12-31T01:30:00")),
                "{twice}"
            );
        }
        // Half an hour is skipped on Lord Howe Island, and a whole day in Apia.
        let found = of("Australia/Lord_Howe", &["2023-08-31T15:45:00", "2023-09-30T15:45:00", "2023-10-31T15:15:00"]);
        assert_eq!(found.map(|it| (it.day, it.of_day)), Some((1, (2 * 60 + 15) * 60_000)));
        let apia = Calendar { day: 30, of_day: 0, zone: "Pacific/Apia".parse().unwrap() };
        assert_eq!(apia.next_to(at("2011-12-30T00:00:00")), at("2011-12-30T10:00:00"));
    }

    #[test]
    fn far_beyond_all_calendars_is_where_it_is() {
        let calendar = Calendar { day: 31, of_day: 0, zone: Zone::UTC };
        assert_eq!([calendar.next_to(Millis::MAX), calendar.next_to(Millis::MIN)], [Millis::MAX, Millis::MIN]);
    }
}
