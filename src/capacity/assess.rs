//! Puts the parts together: crossed, too short, a saw-tooth, growing, crossing now and then, or none of these.

use statrs::distribution::{ContinuousCDF, Normal};

use crate::forecast::{Events, Past};
use crate::series::{DAY, History, Millis, Side, format_duration, quantile_sorted};

use super::answer::{Assessment, CapacitySettings, Exhaustion, Headroom, Limit};
use super::level::Level;
use super::passage::crossing_probability_unsure;
use super::paths::Future;
use super::planned::Barrier;
use super::sawtooth::Sawtooth;
use super::trend::{MIN_BLOCKS, Trend};
use super::wording;

/// When the headroom is told.
const LOOKS: [Millis; 4] = [0, 7 * DAY, 30 * DAY, 90 * DAY];
/// A history is not asked about more than this many times its own length,
const REACH: Millis = 20;
/// or about no more than this many times when it is too short to tell growth from the day's own rise.
const YOUNG_REACH: Millis = 3;
/// Such is a history that has not seen two days.
const YOUNG: Millis = 2 * DAY;
/// Excursions beyond the limit before they count as a habit.
const MIN_EXCURSIONS: usize = 3;

/// Assesses `history` against `limit`.
///
/// A counter's history is its rate: convert before, with [`History::from_samples`]. The last cell is now.
pub fn assess(history: &History, limit: Limit, settings: &CapacitySettings) -> Assessment {
    let sign = if limit.side == Side::Down { -1.0 } else { 1.0 };
    let past = Past::of(history);
    let events = settings.events.measured(&past);
    let quiet = (!events.is_empty())
        .then(|| History::new(history.start(), history.step(), events.quiet(&past)).on(history.calendar()));
    let reference = Events::reference_of(&past);
    let history = quiet.as_ref().unwrap_or(history);
    let last = history.values().iter().rposition(|value| !value.is_nan()).unwrap_or(0);
    let barrier = Barrier { events: &events, reference, now: history.at(last), limit };
    let found = find(history, sign, &barrier, settings);
    let horizon = settings.horizon.min(found.reach);
    let headroom = LOOKS.iter().map(|&after| {
        let value = match (&found.trend, after) {
            (_, 0) => found.last.map(|last| sign * limit.value - last),
            // What lies beyond the history's reach is not known, and a line drawn that far would be made up.
            (None, _) => None,
            (Some(_), after) if after > found.reach => None,
            (Some(trend), _) => Some(barrier.headroom_in(after, trend.level_in(after) + trend.top)),
        };
        let whole = settings.whole.unwrap_or(limit.value).abs();
        let share = value.filter(|_| whole > 0.0).map(|value| value / whole);
        Headroom { after, value, share }
    });
    let headroom: Vec<Headroom> = headroom.collect();
    let advice = wording::advise(&wording::Situation {
        limit,
        settings,
        now: found.now,
        exhaustion: &found.exhaustion,
        probability: found.probability,
        last: found.last,
        trend: found.trend,
        sign,
        span: found.spread,
        reach: found.reach,
        planned: barrier.names_within(horizon),
        taken: barrier.taken_within(horizon.min(settings.keep)),
        lowest: barrier.height_in(0) - barrier.taken_within(horizon),
    });
    Assessment {
        level: found.last.map_or(f64::NAN, |last| sign * last),
        limit,
        exhaustion: found.exhaustion,
        probability: found.probability,
        horizon,
        headroom,
        recommendation: advice.text,
        amount: advice.amount,
        slope_per_day: found.trend.map_or(0.0, |trend| sign * trend.slope * DAY as f64),
        method: found.method,
        events: barrier.names_within(horizon),
    }
}

/// A level's course per millisecond, growing towards the limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// The level now.
    pub level: f64,
    /// Change per ms; 0 when no change is significant.
    pub slope: f64,
    /// The slope that is exceeded with 10 % probability; 0 when there is no growth.
    pub slope_high: f64,
    /// What season and noise add at their usual most.
    pub top: f64,
}

impl Course {
    fn level_in(&self, after: Millis) -> f64 {
        self.level + self.slope * after as f64
    }
}

struct Found {
    now: Millis,
    /// From the first value to the last.
    spread: Millis,
    /// How far it may be asked about.
    reach: Millis,
    last: Option<f64>,
    exhaustion: Exhaustion,
    probability: Option<f64>,
    trend: Option<Course>,
    method: &'static str,
}

fn find(history: &History, sign: f64, barrier: &Barrier<'_>, settings: &CapacitySettings) -> Found {
    let limit = sign * barrier.limit.value;
    let mirrored: Vec<f64> = history.values().iter().map(|value| sign * value).collect();
    let mut present = mirrored.iter().enumerate().filter(|(_, value)| !value.is_nan());
    let ends = (present.next(), present.next_back());
    let (first_idx, last_idx) = match ends {
        (Some((first, _)), Some((last, _))) => (first, last),
        (Some((only, _)), None) => (only, only),
        (None, _) => (0, 0),
    };
    let n_present = mirrored.iter().filter(|value| !value.is_nan()).count();
    let last = mirrored.get(last_idx).copied().filter(|value| !value.is_nan());
    let spread = history.at(last_idx) - history.at(first_idx);
    let mut found = Found {
        now: history.at(last_idx),
        spread,
        reach: reach_of(spread),
        last,
        exhaustion: Exhaustion::Unknown { reason: String::new() },
        probability: None,
        trend: None,
        method: "none",
    };
    let Some(last) = last else {
        found.exhaustion = Exhaustion::Unknown { reason: "the history has no value".to_owned() };
        return found;
    };
    if !limit.is_finite() {
        found.exhaustion = Exhaustion::Unknown { reason: "the limit is not a finite number".to_owned() };
        return found;
    }
    let whole = history.slice(first_idx, last_idx + 1);
    let parts = (n_present >= MIN_BLOCKS).then(|| Parts::of(&whole, sign, settings)).flatten();
    if let Some(parts) = &parts {
        found.trend = Some(parts.course());
    }
    if last >= limit {
        let since = mirrored[..last_idx].iter().rposition(|value| *value < limit);
        found.exhaustion = Exhaustion::Crossed { since: since.map(|below| first_crossed(history, &mirrored, below)) };
        found.probability = Some(1.0);
        found.method = parts.as_ref().map_or("none", |parts| parts.method);
        return found;
    }
    let Some(parts) = parts else {
        let values = if n_present == 1 { "value is" } else { "values are" };
        let reason = format!("{n_present} {values} too few to tell growth from chance; {MIN_BLOCKS} are needed");
        found.exhaustion = Exhaustion::Unknown { reason };
        return found;
    };
    found.method = parts.method;
    let horizon = settings.horizon.min(found.reach).max(1);
    let trend = &parts.trend;
    let per_block = |span: Millis| span as f64 / parts.block_millis;
    let turns: Vec<f64> = barrier.turns(horizon).into_iter().map(per_block).collect();
    if trend.is_growing() || !turns.is_empty() {
        // Without growth only what is planned moves the level, and what it wanders.
        let still = Trend { slope: trend.slope.min(0.0), slope_error: 0.0, ..trend.clone() };
        let trend = if trend.is_growing() { trend } else { &still };
        let height = |blocks: f64| barrier.height_in((blocks * parts.block_millis).round() as Millis);
        let top = |from: f64, to: f64| (parts.profile_max)(from, to);
        let future = Future {
            trend,
            profile_max: &top,
            peaks: &parts.peaks,
            limit: &height,
            turns: &turns,
            cell: parts.cell_millis / parts.block_millis,
            horizon: per_block(horizon),
            n_paths: settings.n_paths.max(10),
            seed: settings.seed,
        };
        let crossing = future.crossing();
        let at = |blocks: f64| found.now.saturating_add((blocks * parts.block_millis).round() as Millis);
        let [p10, p50, p90] = crossing.quantiles.map(|time| time.map(at));
        found.probability = Some(crossing.probability);
        if !parts.trend.is_growing() {
            found.method = "planned";
            found.exhaustion =
                if p10.is_some() { Exhaustion::Expected { p10, p50, p90 } } else { Exhaustion::NotGrowing };
            return found;
        }
        found.exhaustion = if p10.is_none() && horizon < settings.horizon {
            Exhaustion::Unknown { reason: short_reason(spread, horizon) }
        } else {
            Exhaustion::Expected { p10, p50, p90 }
        };
        return found;
    }
    if let Some((rate, probability)) = habit(&mirrored, limit, history.step().millis(), horizon) {
        // A habit has no memory: the waiting time is exponential.
        let at = |share: f64| {
            let wait = -(1.0 - share).ln() / rate;
            (wait <= horizon as f64).then(|| found.now.saturating_add(wait.round() as Millis))
        };
        found.exhaustion = Exhaustion::Expected { p10: at(0.1), p50: at(0.5), p90: at(0.9) };
        found.probability = Some(probability);
        found.method = "recurrent";
        return found;
    }
    found.exhaustion = Exhaustion::NotGrowing;
    if let (Some((deviation, memory)), false) = (trend.reversion, trend.is_falling()) {
        found.probability = Some(exceedance(limit - trend.level - parts.top, deviation, per_block(horizon) / memory));
        return found;
    }
    let distance = limit - trend.level - parts.top;
    let drift = if trend.is_falling() { trend.slope } else { 0.0 };
    let by = per_block(horizon);
    found.probability = Some(crossing_probability_unsure(distance, drift, trend.slope_error, trend.wander, by));
    found
}

/// How far ahead a history of `span` speaks.
fn reach_of(span: Millis) -> Millis {
    span.saturating_mul(if span < YOUNG { YOUNG_REACH } else { REACH })
}

/// The probability that one of `n` independent draws around a level exceeds it by `distance`.
fn exceedance(distance: f64, deviation: f64, n: f64) -> f64 {
    // Beyond four deviations a normal tail is a guess, and the series does not trend.
    if deviation <= 0.0 || distance > 4.0 * deviation {
        return 0.0;
    }
    let stays = Normal::standard().cdf(distance / deviation);
    1.0 - stays.powf(n.max(1.0))
}

/// The first value at or beyond the limit after cell `below`.
fn first_crossed(history: &History, mirrored: &[f64], below: usize) -> Millis {
    let after = mirrored[below + 1..].iter().position(|value| !value.is_nan()).unwrap_or(0);
    history.at(below + 1 + after)
}

fn short_reason(spread: Millis, reach: Millis) -> String {
    format!(
        "it grows, but the history of {} speaks for the next {} only, and the limit lies beyond",
        format_duration(round_span(spread)),
        format_duration(round_span(reach))
    )
}

/// A span to two units at most, for reading.
pub(super) fn round_span(span: Millis) -> Millis {
    let unit = [DAY, DAY / 24, DAY / 1440, 1000].into_iter().find(|unit| span >= 3 * unit).unwrap_or(1);
    (span + unit / 2) / unit * unit
}

/// How often the limit is crossed per ms, and the probability of doing so within the horizon, when the series
/// crosses it again and again and has done so lately.
fn habit(mirrored: &[f64], limit: f64, step: Millis, horizon: Millis) -> Option<(f64, f64)> {
    let mut starts = Vec::new();
    let mut is_beyond = false;
    for (idx, value) in mirrored.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
        if *value >= limit && !is_beyond {
            starts.push(idx);
        }
        is_beyond = *value >= limit;
    }
    if starts.len() < MIN_EXCURSIONS {
        return None;
    }
    let interval = mirrored.len() as f64 / starts.len() as f64;
    let quiet = mirrored.len() - starts[starts.len() - 1];
    if quiet as f64 > 3.0 * interval {
        return None;
    }
    let rate = 1.0 / (interval * step as f64);
    Some((rate, 1.0 - (-rate * horizon as f64).exp()))
}

/// What a history is made of, ready for dates.
struct Parts {
    trend: Trend,
    block_millis: f64,
    cell_millis: f64,
    peaks: Vec<f64>,
    profile_max: Box<dyn Fn(f64, f64) -> f64>,
    top: f64,
    method: &'static str,
}

impl Parts {
    fn of(history: &History, sign: f64, settings: &CapacitySettings) -> Option<Parts> {
        let level = Level::of(history, settings.season, sign);
        if let Some(teeth) = Sawtooth::of(&level.cells) {
            if teeth.is_overdue(&level.cells) {
                // The purge no longer comes: the current tooth is all there is to go by.
                let current: Vec<f64> = level.cells[teeth.current..].to_vec();
                if let Some(trend) = Trend::of(&current) {
                    return Some(Parts::plain(trend, level.cell.millis() as f64, "trend"));
                }
            } else if let Some(mut trend) = Trend::of(&teeth.peaks) {
                // The envelope is known at the last peak; now is somewhat later.
                let later = teeth.since_peak as f64 / teeth.tooth_len - 0.5;
                if trend.is_growing() || trend.is_falling() {
                    trend.level += trend.slope * later;
                }
                return Some(Parts::plain(trend, level.cell.millis() as f64 * teeth.tooth_len, "envelope"));
            }
        }
        let trend = Trend::of(&level.blocks)?;
        // Wandering within a block is drawn with the paths already; a block's highest cell tells of it again.
        let peaks: Vec<f64> = level.peaks.iter().map(|peak| (peak - 0.8 * trend.wander).max(0.0)).collect();
        let usual = quantile_sorted(&peaks, 0.9).unwrap_or(0.0) + 1.28 * trend.noise;
        let top = level.profile_top() + usual;
        let (block_millis, cell_millis) = (level.block_millis(), level.cell.millis() as f64);
        let per_block = level.block_len as f64;
        let profile_max: Box<dyn Fn(f64, f64) -> f64> =
            Box::new(move |from, to| level.profile_max(from * per_block, to * per_block));
        Some(Parts { trend, block_millis, cell_millis, peaks, profile_max, top, method: "trend" })
    }

    /// Without season and without noise finer than the blocks.
    fn plain(trend: Trend, block_millis: f64, method: &'static str) -> Parts {
        let top = 1.28 * trend.noise;
        let profile_max = Box::new(|_: f64, _: f64| 0.0);
        Parts { trend, block_millis, cell_millis: block_millis, peaks: Vec::new(), profile_max, top, method }
    }

    fn course(&self) -> Course {
        let trend = &self.trend;
        let slope = if trend.is_growing() || trend.is_falling() { trend.slope } else { 0.0 };
        let slope_high = if trend.is_growing() { trend.slope + 1.28 * trend.slope_error } else { 0.0 };
        Course {
            level: trend.level,
            slope: slope / self.block_millis,
            slope_high: slope_high / self.block_millis,
            top: self.top,
        }
    }
}
