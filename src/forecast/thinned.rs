//! A pool in few bytes.
//!
//! In: a fitted pool, how its members did on the past, and how much room there is. Out: the same pool where it has that
//! room; else each member keeps no more digits than its errors deserve, and what all of them need of the last values is
//! kept once. Members then go, one after the other, that the replayed errors miss least for the bytes they hold, short
//! leads counting as much as long ones. What they add to the points is kept, so that the points of the fit are those of
//! all, and fades as values are taken in: those move the points as the members do that are left.

use std::collections::BTreeMap;

use super::backtest::{Replay, mean};
use super::compact::{FINE, Kept};
use super::facts::Facts;
use super::model::{Fitted, Updated};
use super::past::{Past, Regressors};
use super::pool::FittedPool;
use super::recent::{Recent, Shared};
use super::shaped::shape;

/// Pools of shorter cycles are left as they are: what members hold beside their cycles is not worth less accuracy.
const LONG: usize = 96;

/// Bytes that the members of a pool may hold: with them a model of hours with a week stays below 4 KiB, bands and all.
const LEAST_ROOM: usize = 2_280;

/// Bytes for each place of the longest cycle, where that is longer than such a week.
const ROOM_PER_PLACE: usize = 13;

/// Origins and leads at the errors of which members are compared. With 60 and 10 no more is learnt.
const N_ORIGINS: usize = 16;
const N_LEADS: usize = 6;

/// Bytes count by this power: a member twice as large must do better by half as much again.
const OF_BYTES: f64 = 0.5;

/// What each value taken in leaves of what the members that went would add.
const FADES: f64 = 0.8;

/// A fitted pool made small.
#[derive(Debug)]
struct Thinned {
    pool: FittedPool,
    recent: Option<Shared>,
    // What is added to the points of the cells after the fit.
    lacking: Kept,
    // How many of these have come.
    n_taken: usize,
    facts: Facts,
}

/// Fitted methods with their weights.
type Members = Vec<(Box<dyn Fitted>, f64)>;

/// What a member holds.
fn n_bytes_of(member: &dyn Fitted) -> usize {
    size_of_val(member) + member.n_bytes()
}

/// What `members` hold, and what they lean on.
fn n_bytes(members: &Members, recent: Option<&Shared>) -> usize {
    let of_members: usize = members.iter().map(|(member, _)| n_bytes_of(&**member)).sum();
    size_of_val(members.as_slice()) + of_members + recent.map_or(0, |recent| recent.read().n_bytes())
}

/// `pool`, of members that were replayed with `replays` on `past`, which has a cycle of `longest` steps at most; made
/// small if it has to be.
pub(super) fn thinned(
    pool: FittedPool,
    replays: &[&Replay],
    past: &Past<'_>,
    horizon: usize,
    longest: usize,
) -> Box<dyn Fitted> {
    let FittedPool { mut members, middle, takes_values } = pool;
    let room = LEAST_ROOM.max(ROOM_PER_PLACE * longest);
    if longest < LONG || n_bytes(&members, None) <= room {
        return match members.pop() {
            Some((member, _)) if members.is_empty() => member,
            last => {
                members.extend(last);
                Box::new(FittedPool { members, middle, takes_values })
            }
        };
    }
    let mut pool = FittedPool { members, middle, takes_values };
    let mut all = vec![0.0; horizon.min(longest)];
    pool.points_into(past.ahead(), &mut all);
    let mut cells = Cells::of(replays);
    let tolerance = cells.usual_error(&pool);
    pool.members.iter_mut().for_each(|(member, _)| member.thin(tolerance));
    let recent = lent(&mut pool.members, tolerance);
    while pool.members.len() > 1 && n_bytes(&pool.members, recent.as_ref()) > room {
        cells.leave_out_one(&mut pool);
    }
    pool.members.shrink_to_fit();
    let total: f64 = pool.members.iter().map(|(_, weight)| weight).sum();
    pool.members.iter_mut().for_each(|(_, weight)| *weight /= total);
    let mut points = vec![0.0; all.len()];
    pool.points_into(past.ahead(), &mut points);
    let lacking: Vec<f64> = all.iter().zip(&points).map(|(all, point)| all - point).collect();
    let mut lacking = Kept::of(&lacking);
    // Where values are small, so may be what a small share of the usual error is to them.
    lacking.coarsen(FINE / 10.0 * tolerance);
    Box::new(Thinned { pool, recent, lacking, n_taken: 0, facts: past.facts().clone() })
}

/// Has `members` lean on the last values of the one that goes back furthest, if several keep some.
fn lent(members: &mut Members, tolerance: f64) -> Option<Shared> {
    let tails: Vec<Vec<f64>> =
        members.iter().map(|(member, _)| member.recent()).filter(|tail| !tail.is_empty()).collect();
    let is_shared = tails.len() > 1;
    // Of equals the first, which weighs most.
    let longest = tails.into_iter().rev().max_by_key(Vec::len).filter(|_| is_shared)?;
    let recent = Recent::shared(&longest, tolerance)?;
    members.iter_mut().for_each(|(member, _)| member.lean_on(&recent));
    Some(recent)
}

/// Who was off by how much where, by lead: of each cell the errors with the place of their member, ascending.
struct Cells(Vec<Vec<Vec<(f64, usize)>>>);

impl Cells {
    fn of(replays: &[&Replay]) -> Cells {
        let n_origins = replays.first().map_or(0, |replay| replay.errors.len());
        let n_leads = replays.first().and_then(|replay| replay.errors.first()).map_or(0, Vec::len);
        let every = n_origins.div_ceil(N_ORIGINS).max(1);
        // Even in the logarithm, the first and the last among them.
        let nth = |nr: usize| (n_leads as f64).powf(nr as f64 / (N_LEADS - 1) as f64).round() as usize;
        let mut leads: Vec<usize> = (0..N_LEADS).map(nth).filter(|lead| *lead > 0).collect();
        leads.dedup();
        let of_lead = |lead: usize| -> Vec<Vec<(f64, usize)>> {
            let cell = |origin: usize| -> Vec<(f64, usize)> {
                let errors = replays.iter().map(|replay| replay.errors[origin][lead - 1]).zip(0..);
                let mut known: Vec<(f64, usize)> = errors.filter(|(error, _)| !error.is_nan()).collect();
                known.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
                known
            };
            (0..n_origins).rev().step_by(every).map(cell).filter(|known| !known.is_empty()).collect()
        };
        Cells(leads.into_iter().map(of_lead).collect())
    }

    /// What the pool is off by one step ahead, where errors are least.
    fn usual_error(&self, pool: &FittedPool) -> f64 {
        let first = self.0.first().map_or(&[][..], Vec::as_slice);
        mean(first.iter().map(|cell| error_without(usize::MAX, cell, pool, &mut Vec::new())))
    }

    /// Takes out of `pool` the member without which errors grow least for what it holds.
    fn leave_out_one(&mut self, pool: &mut FittedPool) {
        let mut known = Vec::with_capacity(pool.members.len());
        let mut sum = |left_out: usize, cells: &[Vec<(f64, usize)>]| -> f64 {
            cells.iter().map(|cell| error_without(left_out, cell, pool, &mut known)).sum()
        };
        let mut growth = vec![0.0; pool.members.len()];
        for cells in self.0.iter().filter(|cells| !cells.is_empty()) {
            let with_all = sum(usize::MAX, cells).max(f64::MIN_POSITIVE);
            growth.iter_mut().enumerate().for_each(|(nr, growth)| *growth += sum(nr, cells) / with_all - 1.0);
        }
        let cost = |nr: usize| growth[nr] / (n_bytes_of(&*pool.members[nr].0) as f64).powf(OF_BYTES);
        // Of equals the one that weighs least.
        let Some(least) = (0..growth.len()).rev().min_by(|&a, &b| cost(a).total_cmp(&cost(b))) else { return };
        pool.members.remove(least);
        for cells in &mut self.0 {
            for cell in cells.iter_mut() {
                cell.retain(|(_, nr)| *nr != least);
                cell.iter_mut().for_each(|(_, nr)| *nr -= usize::from(*nr > least));
            }
            cells.retain(|cell| !cell.is_empty());
        }
    }
}

/// What the pool was off by in a cell without one of its members; with it where nobody else was replayed there.
fn error_without(left_out: usize, cell: &[(f64, usize)], pool: &FittedPool, known: &mut Vec<(f64, f64)>) -> f64 {
    known.clear();
    let is_kept = |nr: usize| nr != left_out || cell.len() == 1;
    known.extend(cell.iter().filter(|(_, nr)| is_kept(*nr)).map(|(error, nr)| (*error, pool.members[*nr].1)));
    pool.middle.of(known).abs()
}

impl Fitted for Thinned {
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]) {
        self.pool.points_into(known, points);
        let left = FADES.powf(self.n_taken as f64);
        for (cell, point) in (self.n_taken..self.lacking.len()).zip(points) {
            *point = shape(*point + left * self.lacking.get(cell), &self.facts);
        }
    }

    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        self.facts.take(value);
        let mut expected = [0.0];
        if self.recent.is_some() {
            self.points_into(known, &mut expected);
        }
        let updated = self.pool.update(value, known);
        if updated != Updated::NeedsRefit {
            self.n_taken += 1;
            if let Some(recent) = &self.recent {
                recent.write().take(value, expected[0]);
            }
        }
        updated
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        self.pool.settings()
    }

    fn n_bytes(&self) -> usize {
        n_bytes(&self.pool.members, self.recent.as_ref()) + self.lacking.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::pool::Middle;
    use crate::forecast::registry::{Settings, find};
    use crate::forecast::tests::Noise;
    use crate::forecast::{Horizon, Request, prepare};
    use crate::series::{Season, Step};

    fn hours(n: usize) -> Vec<f64> {
        let mut noise = Noise::seeded(11);
        let at = |t: usize| 100.0 - 3.0 * f64::from(u8::from(t / 24 % 7 >= 5)) + (t % 24 * 13 % 7) as f64;
        (0..n).map(|t| at(t) + 0.5 * noise.normal()).collect()
    }

    /// A pool of `names` on hours with a week, where it is small and as it was.
    fn pools(values: &[f64], names: &[&str]) -> [Box<dyn Fitted>; 2] {
        let past = Past::new(0, Step::seconds(3600), values);
        let week = Settings { seasons: Season::new(168).into_iter().collect(), horizon: None };
        let pool = || {
            let fit = |name: &&str| (find(name).unwrap().build)(&week).fit(&past).unwrap();
            let members = names.iter().map(|name| (fit(name), 1.0 / names.len() as f64)).collect();
            FittedPool { members, middle: Middle::Median, takes_values: true }
        };
        let mut noise = Noise::seeded(3);
        // Each next one is off by a little more.
        let mut replay = |nr: usize| Replay {
            origins: (0..20).map(|origin| 600 + origin).collect(),
            errors: (0..20).map(|_| (0..48).map(|_| (0.5 + 0.1 * nr as f64) * noise.normal()).collect()).collect(),
            takes_values: true,
        };
        let replays: Vec<Replay> = (0..names.len()).map(&mut replay).collect();
        let replays: Vec<&Replay> = replays.iter().collect();
        [thinned(pool(), &replays, &past, 48, 168), Box::new(pool())]
    }

    fn apart(one: &dyn Fitted, other: &dyn Fitted) -> f64 {
        let points = |fitted: &dyn Fitted| {
            let mut points = vec![0.0; 48];
            fitted.points_into(Regressors::NONE, &mut points);
            points
        };
        points(one).iter().zip(points(other)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    const MANY: [&str; 8] =
        ["theta", "slot-profile", "cycle-median", "seasonal-ar", "card", "seasonal-naive", "ar", "delta"];

    #[test]
    fn a_pool_of_hours_with_a_week_takes_its_room_and_says_what_all_say() {
        let values = hours(1000);
        let [small, whole] = pools(&values, &MANY);
        assert!(n_bytes_of(&*whole) > 9_000, "{}", n_bytes_of(&*whole));
        assert!(n_bytes_of(&*small) < LEAST_ROOM + 300, "{}", n_bytes_of(&*small));
        // Half a step of what is lacking, of errors of a half.
        assert!(apart(&*small, &*whole) < 0.06 * FINE * 0.5, "{}", apart(&*small, &*whole));
    }

    #[test]
    fn values_taken_in_move_it_like_the_whole() {
        let values = hours(1400);
        let [mut small, mut whole] = pools(&values[..1000], &MANY);
        for (nr, &value) in values[1000..].iter().enumerate() {
            let value = if nr % 50 == 7 { f64::NAN } else { value };
            // To what the pool keeps once, what is no value of this series is a gap.
            assert_eq!(small.update(if nr == 57 { 1e200 } else { value }, Regressors::NONE), Updated::Filtered);
            assert_eq!(whole.update(value, Regressors::NONE), Updated::Filtered);
            assert!(nr > 57 || apart(&*small, &*whole) < 0.7, "{nr}: {}", apart(&*small, &*whole));
        }
        // Whose level it moved has forgotten it.
        let left = apart(&*small, &*whole);
        assert!(left < 2.0, "{left}");
        assert!(n_bytes_of(&*small) < LEAST_ROOM + 700, "{}", n_bytes_of(&*small));
    }

    #[test]
    fn what_auto_makes_of_hours_with_a_week_is_below_four_kibibytes() {
        let values = hours(1000);
        let request = Request { horizon: Horizon::new(48).unwrap(), ..Request::default() };
        let mut prepared = prepare(Past::new(0, Step::seconds(3600), &values[..800]), &request).unwrap();
        assert!(prepared.model().matches('+').count() >= 3, "{}", prepared.model());
        assert!(prepared.n_bytes() < 4096, "{}", prepared.n_bytes());
        for value in &values[800..] {
            assert_eq!(prepared.update(*value, Regressors::NONE), Updated::Filtered);
        }
        assert!(prepared.n_bytes() < 4096 + 512, "{}", prepared.n_bytes());
    }

    #[test]
    fn who_has_room_keeps_everything() {
        let values = hours(1000);
        let [small, whole] = pools(&values, &["theta", "delta"]);
        assert_eq!(small.n_bytes(), whole.n_bytes());
        assert_eq!(apart(&*small, &*whole), 0.0);
        // One alone is no pool; where it is large it is made small all the same.
        let [small, whole] = pools(&values, &["slot-profile"]);
        assert!(n_bytes_of(&*small) < 1_000 && apart(&*small, &*whole) < 0.06 * FINE * 0.5);
        let mut points = [0.0; 2];
        assert!(!small.quantile_into(0.9, Regressors::NONE, &mut points));
    }
}
