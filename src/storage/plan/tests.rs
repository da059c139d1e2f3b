use proptest::prelude::*;

use super::*;

// A multiple of 30 days.
const MONTH_START: Millis = 650 * 30 * DAY;

fn piece(sequence: u64, min_time: Millis, max_time: Millis, n_samples: u64) -> Piece {
    Piece { sequence, min_time, max_time, n_samples, n_series: 1, born: 0, is_lasting: false, is_within_reach: true }
}

fn rules(now: Millis) -> Rules {
    Rules { now, max_blocks: 4, is_patient: true, longest: MONTH }
}

#[test]
fn few_blocks_are_left_alone_and_young_ones_merged_first() {
    let check = |n_samples: &[u64], expected| assert_eq!(pick(n_samples, 4), expected, "{n_samples:?}");
    check(&[1, 1, 1, 1], None);
    check(&[1, 1, 1, 1, 1], Some(0..5));
    check(&[1000, 10, 10, 10, 10], Some(1..5));
    check(&[1000, 500, 200, 90, 10], Some(3..5));
}

#[test]
fn a_window_that_is_over_becomes_one_block() {
    let at = MONTH_START + 5 * DAY;
    let pieces =
        [piece(1, at, at + 10, 100), piece(2, at + 11, at + 20, 100), piece(3, at + 2 * HOUR, at + 2 * HOUR, 9)];
    assert_eq!(plan(&pieces, rules(at + 2 * HOUR + 9 * MINUTE)), None);
    let fresh = |blocks: &[usize]| Some(Plan { blocks: blocks.to_vec(), effort: Effort::Fresh });
    assert_eq!(plan(&pieces, rules(at + 2 * HOUR + 10 * MINUTE)), fresh(&[0, 1]));
    assert_eq!(plan(&pieces, rules(at + 26 * HOUR)), fresh(&[0, 1, 2]));
    let all = Plan { blocks: vec![0, 1, 2], effort: Effort::Lasting };
    assert_eq!(plan(&pieces, rules(at + 40 * DAY)), Some(all));
    // A block that was just written says that more is coming.
    let busy = pieces.map(|piece| Piece { born: at + 40 * DAY - MINUTE, ..piece });
    assert_eq!(plan(&busy, rules(at + 40 * DAY)), None);
    assert!(plan(&busy, Rules { is_patient: false, ..rules(at + 40 * DAY) }).is_some());
}

#[test]
fn a_large_block_is_not_rewritten_for_a_few_late_samples() {
    let at = MONTH_START;
    let late = [piece(2, at + 5, at + 5, 3), piece(3, at + 3 * DAY, at + 3 * DAY, 3)];
    let large = piece(1, at, at + DAY, 1000);
    let check = |large, came_before: Millis, expected: Option<Vec<usize>>| {
        let now = at + 90 * DAY;
        let late = late.map(|piece| Piece { born: now - came_before, ..piece });
        let plan = plan(&[large, late[0], late[1]], rules(now));
        assert_eq!(plan.map(|plan| plan.blocks), expected);
    };
    check(Piece { is_lasting: true, ..large }, DAY, None);
    // It is to be rewritten anyway.
    check(large, DAY, Some(vec![0, 1, 2]));
    // Nothing more has come for a week.
    check(Piece { is_lasting: true, ..large }, 7 * DAY, Some(vec![0, 1, 2]));
}

#[test]
fn a_block_that_is_alone_when_its_month_is_over_is_written_once_as_one_that_stays() {
    let (alone, end) = (piece(1, MONTH_START, MONTH_START + DAY, 1000), MONTH_START + 30 * DAY);
    assert_eq!(plan(&[alone], rules(end)), None);
    let rewrite = Plan { blocks: vec![0], effort: Effort::Lasting };
    assert_eq!(plan(&[alone], rules(end + 2 * HOUR)), Some(rewrite));
    assert_eq!(plan(&[Piece { is_lasting: true, ..alone }], rules(end + 2 * HOUR)), None);
}

#[test]
fn blocks_do_not_grow_beyond_a_day_where_samples_are_soon_deleted() {
    assert_eq!((longest(None), longest(Some(60 * DAY)), longest(Some(59 * DAY))), (2, 2, 1));
    let soon = Rules { longest: 1, ..rules(MONTH_START + 40 * DAY) };
    let day = |number: i64, n: Millis| piece(1, MONTH_START + number * DAY, MONTH_START + number * DAY + n, 100);
    let days: Vec<Piece> = (0..20).map(|number| Piece { is_lasting: true, ..day(number, 5) }).collect();
    assert_eq!(plan(&days, soon), None);
    let (first, late) = (day(3, 5), Piece { sequence: 2, ..day(3, 9) });
    assert_eq!(plan(&[first, late], soon), Some(Plan { blocks: vec![0, 1], effort: Effort::Lasting }));
    // What is late for many days at once is still kept in few blocks.
    let wide: Vec<Piece> = (0..5).map(|sequence| Piece { sequence, ..day(0, 9 * DAY) }).collect();
    assert!(plan(&wide, soon).is_some_and(|plan| plan.blocks.len() == 5));
}

#[test]
fn a_block_is_settled_when_its_days_are_over_and_nothing_is_to_join_it() {
    let (at, now) = (MONTH_START, MONTH_START + 2 * DAY);
    let day = piece(1, at, at + DAY - 1, 1000);
    let check = |others: &[Piece], now, expected| {
        let pieces: Vec<Piece> = std::iter::once(day).chain(others.iter().copied()).collect();
        assert_eq!(is_settled(&pieces, 0, now), expected, "{others:?} {now}");
    };
    check(&[], at + DAY + 2 * HOUR, false);
    check(&[], at + DAY + 2 * HOUR + 1, true);
    check(&[piece(2, at + DAY, at + 2 * DAY, 5000)], now, true);
    check(&[piece(2, at + 5, at + 5, 500)], now, false);
    check(&[piece(2, at + 5, at + 5, 3)], now, true);
    check(&[piece(2, at + 5, at + 5, MAX_SAMPLES)], now, true);
    // And the few that are late are not, beside the many.
    assert!(!is_settled(&[day, piece(2, at + 5, at + 5, 3)], 1, now));
    let young = Piece { born: now - HOUR, ..day };
    assert!(!is_settled(&[young], 0, now));
}

#[test]
fn what_came_between_for_the_same_time_keeps_blocks_apart() {
    let at = MONTH_START;
    // The second reaches over two days, and its values are newer than those of the first and older than those of the third.
    let pieces = [piece(1, at, at + 10, 5), piece(2, at + 5, at + 2 * DAY, 5), piece(3, at, at + 10, 5)];
    assert_eq!(plan(&pieces, rules(at + 2 * DAY)), None);
    let elsewhere = [pieces[0], piece(2, at + 11, at + 2 * DAY, 5), pieces[2]];
    assert_eq!(plan(&elsewhere, rules(at + 2 * DAY)).map(|plan| plan.blocks), Some(vec![0, 2]));
}

#[test]
fn a_flush_is_cut_where_much_is_and_little_is_kept_together() {
    let check = |counts: &[(Millis, u64)], expected: &[&[Millis]]| {
        let cut = cut(&counts.iter().copied().collect());
        assert_eq!(cut, expected, "{counts:?}");
    };
    check(&[(7, 100)], &[&[7]]);
    check(&[(7, 100), (8, 50)], &[&[7], &[8]]);
    // Late samples in many windows of a day.
    check(&[(0, 1), (1, 1), (2, 1), (3, 1), (11, 1000)], &[&[11], &[0, 1, 2, 3]]);
    // An old load: each day has much, its hours have little.
    let two_days: Vec<(Millis, u64)> = (0..24).map(|window| (window, 100)).collect();
    let days = [(0..12).collect::<Vec<_>>(), (12..24).collect()];
    check(&two_days, &days.each_ref().map(|day| &day[..]));
    // One sample a day for a year: a block per 30 days.
    let year: BTreeMap<Millis, u64> = (0..365).map(|day| (day * 12, 1)).collect();
    assert_eq!(cut(&year).len(), 13);
}

/// Flushes every `every`, merging as it goes; answers how often a sample was rewritten on average, and the blocks left.
fn simulate(every: Millis, n_samples: u64, span: Millis) -> (f64, usize) {
    let (mut pieces, mut n_all, mut n_rewritten): (Vec<Piece>, u64, u64) = (Vec::new(), 0, 0);
    let end = MONTH_START + span;
    let merge = |pieces: &mut Vec<Piece>, now| {
        let mut n_rewritten = 0;
        while let Some(Plan { blocks, effort }) =
            plan(pieces, Rules { now, max_blocks: 8, is_patient: true, longest: MONTH })
        {
            let sources: Vec<Piece> = blocks.iter().map(|number| pieces[*number]).collect();
            let n_samples = sources.iter().map(|piece| piece.n_samples).sum();
            let min_time = sources.iter().map(|piece| piece.min_time).min().unwrap();
            let max_time = sources.iter().map(|piece| piece.max_time).max().unwrap();
            let sequence = sources.iter().map(|piece| piece.sequence).max().unwrap();
            pieces.retain(|piece| !sources.contains(piece));
            let is_lasting = effort == Effort::Lasting;
            pieces.push(Piece {
                n_series: 100,
                born: now,
                is_lasting,
                ..piece(sequence, min_time, max_time, n_samples)
            });
            pieces.sort_by_key(|piece| piece.sequence);
            n_rewritten += n_samples;
        }
        n_rewritten
    };
    for (sequence, start) in (MONTH_START..end).step_by(every as usize).enumerate() {
        let now = start + every;
        // A flush that lies over the end of a window is cut there.
        let edge = (now - 1).div_euclid(WINDOWS[0]) * WINDOWS[0];
        for (from, to) in [(start, edge.min(now)), (edge.max(start), now)].into_iter().filter(|(from, to)| from < to) {
            let n_here = n_samples * (to - from) as u64 / every as u64;
            pieces.push(Piece { n_series: 100, born: now, ..piece(sequence as u64, from, to - 1, n_here) });
            n_all += n_here;
        }
        n_rewritten += merge(&mut pieces, now);
    }
    n_rewritten += merge(&mut pieces, end + DAY);
    (n_rewritten as f64 / n_all as f64, pieces.len())
}

#[test]
fn steady_flushing_rewrites_each_sample_a_few_times_only() {
    let (n_rewrites, n_blocks) = simulate(HOUR, 1_000_000, 60 * DAY);
    assert!(n_rewrites < 4.6 && n_blocks <= 30, "{n_rewrites} {n_blocks}");
    // Much more than fits a block: flushes of 2 million every 10 seconds.
    let (n_rewrites, n_blocks) = simulate(10_000, 2_000_000, DAY / 2);
    assert!(n_rewrites < 3.0 && n_blocks <= 150, "{n_rewrites} {n_blocks}");
}

proptest! {
    #[test]
    fn a_merge_never_puts_an_older_value_over_a_newer_one(
        spans in prop::collection::vec((0..40 * DAY, 0..3 * DAY, 1..1000_u64), 2..30),
        now in 0..100 * DAY,
        max_blocks in 2..6_usize,
        longest in 1..3_usize,
    ) {
        let in_month = |at: Millis| at.div_euclid(WINDOWS[2]);
        let pieces: Vec<Piece> = spans.iter().enumerate().map(|(sequence, (start, len, n_samples))| {
            let end = (start + len).min((in_month(*start) + 1) * WINDOWS[2] - 1);
            piece(sequence as u64 / 2, *start, end, *n_samples)
        }).collect();
        if let Some(Plan { blocks, .. }) = plan(&pieces, Rules { now, max_blocks, is_patient: true, longest }) {
            prop_assert!(!blocks.is_empty() && blocks.is_sorted());
            let is_over = |piece: &Piece| now >= (piece.max_time.div_euclid(WINDOWS[longest]) + 1) * WINDOWS[longest];
            prop_assert!(blocks.len() >= 2 || is_over(&pieces[blocks[0]]));
            let end = blocks.iter().map(|number| pieces[*number].sequence).max().unwrap();
            let months: Vec<Millis> = blocks.iter().map(|number| in_month(pieces[*number].min_time)).collect();
            prop_assert!(months.iter().all(|month| *month == months[0]));
            for (number, other) in pieces.iter().enumerate().filter(|(number, _)| !blocks.contains(number)) {
                for merged in blocks.iter().map(|number| &pieces[*number]) {
                    let was_beaten = merged.sequence < other.sequence && merged.overlaps(other);
                    prop_assert!(!was_beaten || other.sequence > end, "{number} {blocks:?} {pieces:?}");
                }
            }
        }
    }
}

// As it is by default.
const MAX_BLOCKS: usize = 8;

/// Blocks over time under a plan, and what it costs.
struct Simulation {
    pieces: Vec<Piece>,
    n_flushed: u64,
    n_rewritten: u64,
}

impl Simulation {
    /// A flush at `now` of these samples, by time, and every merge that is then due.
    fn flush(&mut self, samples: &BTreeMap<Millis, u64>, now: Millis) {
        let mut counts: BTreeMap<Millis, u64> = BTreeMap::new();
        samples.iter().for_each(|(at, n)| *counts.entry(at.div_euclid(WINDOWS[0])).or_default() += n);
        let sequence = self.pieces.last().map_or(1, |piece| piece.sequence + 1);
        for windows in cut(&counts) {
            let within = |at: &Millis| windows.contains(&at.div_euclid(WINDOWS[0]));
            let times: Vec<Millis> = samples.keys().copied().filter(within).collect();
            let n_samples = windows.iter().map(|window| counts[window]).sum();
            self.pieces.push(Piece { born: now, ..piece(sequence, times[0], times[times.len() - 1], n_samples) });
            self.n_flushed += n_samples;
        }
        self.merge(now);
    }

    fn merge(&mut self, now: Millis) {
        let rules = Rules { max_blocks: MAX_BLOCKS, ..rules(now) };
        while let Some(Plan { blocks, effort }) = plan(&self.pieces, rules) {
            let merged: Vec<Piece> = blocks.iter().map(|number| self.pieces[*number]).collect();
            let n_samples = merged.iter().map(|piece| piece.n_samples).sum();
            self.n_rewritten += n_samples;
            let min_time = merged.iter().map(|piece| piece.min_time).min().unwrap();
            let max_time = merged.iter().map(|piece| piece.max_time).max().unwrap();
            let last = *blocks.last().unwrap();
            let sequence = self.pieces[last].sequence;
            let is_lasting = effort == Effort::Lasting;
            self.pieces[last] = Piece { born: now, is_lasting, ..piece(sequence, min_time, max_time, n_samples) };
            let mut number = 0;
            self.pieces.retain(|_| (number == last || !blocks.contains(&number), number += 1).0);
        }
    }
}

#[test]
fn late_samples_that_never_end_cost_a_bounded_number_of_blocks_and_rewrites() {
    let run = |n_late: Millis| {
        let mut simulation = Simulation { pieces: Vec::new(), n_flushed: 0, n_rewritten: 0 };
        let start = MONTH_START + 120 * DAY;
        let mut most = 0;
        for hour in 0..90 * 24 {
            let now = start + hour * HOUR;
            // A thousand samples of the last hour, and one of each of three moments of the last hundred days.
            let mut samples: BTreeMap<Millis, u64> =
                (0..10).map(|part| (now - HOUR + part * 6 * MINUTE, 100)).collect();
            (1..=n_late).for_each(|late| {
                *samples.entry(now - (hour * 7_919 + late * 104_729) % 2_400 * HOUR).or_default() += 1;
            });
            simulation.flush(&samples, now);
            most = most.max(simulation.pieces.len());
        }
        (simulation, most, start + 90 * DAY)
    };
    let times = |simulation: &Simulation| simulation.n_rewritten as f64 / simulation.n_flushed as f64;
    let (in_time, _, _) = run(0);
    let (mut late, most, end) = run(3);
    // Seven windows of 30 days have samples, and what is not over of the youngest has blocks of its own.
    assert!(most <= 8 * MAX_BLOCKS, "{most} blocks");
    let (in_time, with_late) = (times(&in_time), times(&late));
    assert!(in_time < 6.0 && with_late < 7.0, "each sample was rewritten {in_time:.1} and {with_late:.1} times");
    // A week after the last of them every window has its one block.
    late.merge(end + 60 * DAY);
    assert_eq!(late.pieces.len(), 7, "{:?}", late.pieces);
}

#[test]
fn one_batch_of_scattered_days_is_one_block_a_month_and_stays_so() {
    let mut simulation = Simulation { pieces: Vec::new(), n_flushed: 0, n_rewritten: 0 };
    let now = MONTH_START + 10_000 * DAY;
    // Ten years, a sample every second day or so, sent three times.
    for round in 0..3 {
        let samples = (0..1_825).map(|day| (MONTH_START + 2 * day * DAY + (day * 7_919 + round) % 24 * HOUR, 1));
        simulation.flush(&samples.collect(), now + round * HOUR);
        simulation.merge(now + round * HOUR + 5 * MINUTE);
        assert_eq!(simulation.pieces.len(), 122, "round {round}");
    }
    assert!(simulation.n_rewritten <= 4 * simulation.n_flushed, "{}", simulation.n_rewritten);
}
