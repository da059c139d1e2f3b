//! Reading what a plan lists, by several threads: each takes a stretch of series, and reads a block at a time.

use std::ops::Range;

use super::super::block::{BlockReader, Unzip};
use super::super::files::Files;
use super::super::manifest::Place;
use super::super::merge::keep_last;
use super::super::parallel::{each, n_threads};
use super::plan::{Piece, Plan, Source};
use super::{Failed, failed};
use crate::series::{Key, Millis, Sample, Series, TimeRange, order_of};

// Samples of a stretch at least: a page of each block is unpacked twice where two stretches meet.
const MIN_STRETCH: u64 = 64 * 1024;
// And so many stretches for each thread, where there are samples enough, so that all end at about the same time.
const STRETCHES: u64 = 4;
// Blocks that a thread keeps open from one stretch to the next: each has two pages and a dictionary in memory.
const MAX_OPEN: usize = 64;

/// What one thread has open.
struct Desk {
    // Made when the first page is read.
    unzip: Option<Unzip>,
    readers: Vec<Option<BlockReader>>,
}

/// One series of a stretch.
struct Found {
    // The rank of its metric.
    metric: u32,
    key: Key,
    n_about: usize,
    samples: Vec<Sample>,
    // Each sample so far is later than the one before.
    is_ordered: bool,
}

/// The series of a plan with their samples in `range`, sorted by key; none without a sample.
pub(super) fn gather(plan: &Plan<'_>, files: &dyn Files, range: TimeRange) -> Result<Vec<Series>, Failed> {
    let read = |desk: &mut Desk, pieces: &[Piece]| desk.series(plan, files, range, pieces);
    in_stretches(plan, read, become_series, |series| &series.key)
}

/// Shows the series of a plan with their samples in `range`, some at a time; none without a sample.
pub(super) fn show(
    plan: &Plan<'_>,
    files: &dyn Files,
    range: TimeRange,
    mut show: impl FnMut(Vec<Series>),
) -> Result<(), Failed> {
    let mut desk = Desk::new();
    for stretch in plan.stretches(MIN_STRETCH) {
        let found = desk.series(plan, files, range, &plan.pieces[stretch])?;
        desk.tidy();
        show(found.into_iter().map(become_series).collect());
    }
    Ok(())
}

fn become_series(found: Found) -> Series {
    Series { key: found.key, samples: found.samples }
}

/// The keys of a plan's series, each with when its newest sample before the end of `range` is, or a little later.
pub(super) fn newest(plan: &Plan<'_>, range: TimeRange) -> Result<Vec<(Key, Millis)>, Failed> {
    let (found, targets) = series_of(plan, &plan.pieces)?;
    let mut newest: Vec<(Key, Millis)> = found.into_iter().map(|found| (found.key, Millis::MIN)).collect();
    for (piece, target) in plan.pieces.iter().zip(targets) {
        let at = &mut newest[target as usize].1;
        *at = plan.newest(piece).min(range.end() - 1).max(*at);
    }
    Ok(newest)
}

/// The keys of a plan's series, sorted.
pub(super) fn keys(plan: &Plan<'_>) -> Result<Vec<Key>, Failed> {
    let read = |_: &mut Desk, pieces: &[Piece]| Ok(series_of(plan, pieces)?.0);
    in_stretches(plan, read, |found| found.key, |key| key)
}

/// Reads the plan in stretches, and puts together what they become, sorted by key.
fn in_stretches<T: Send>(
    plan: &Plan<'_>,
    read: impl Fn(&mut Desk, &[Piece]) -> Result<Vec<Found>, Failed> + Sync,
    become_one: impl Fn(Found) -> T + Sync,
    key: impl Fn(&T) -> &Key,
) -> Result<Vec<T>, Failed> {
    let n_samples = plan.n_samples() + plan.pieces.len() as u64;
    let n_threads = n_threads();
    let stretches: Vec<Range<usize>> = plan.stretches((n_samples / (n_threads as u64 * STRETCHES)).max(MIN_STRETCH));
    let parts = each(stretches.len(), n_threads, Desk::new, |desk, number| {
        let found = read(desk, &plan.pieces[stretches[number].clone()])?;
        desk.tidy();
        Ok(sorted(found, &become_one))
    });
    let (mut all, mut metrics, mut seams) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        let (mut part, mut of_part): (Vec<T>, Vec<u32>) = part?;
        seams.push(all.len());
        all.append(&mut part);
        metrics.append(&mut of_part);
    }
    // A metric that lies in several stretches is sorted in each of them, and that is merged here.
    let mut n_merged = 0;
    for seam in seams.into_iter().filter(|seam| (1..metrics.len()).contains(seam)) {
        let metric = metrics[seam];
        if metrics[seam - 1] == metric && seam >= n_merged {
            let start = metrics.partition_point(|other| *other < metric);
            n_merged = metrics.partition_point(|other| *other <= metric);
            all[start..n_merged].sort_by(|a, b| key(a).cmp(key(b)));
        }
    }
    Ok(all)
}

/// Sorts what is sorted by metric by key, and says of each which metric it is of.
fn sorted<T>(found: Vec<Found>, become_one: impl Fn(Found) -> T) -> (Vec<T>, Vec<u32>) {
    let mut order = Vec::with_capacity(found.len());
    for same in found.chunk_by(|a, b| a.metric == b.metric) {
        let start = order.len();
        let keys: Vec<&Key> = same.iter().map(|found| &found.key).collect();
        order.extend(order_of(&keys).into_iter().map(|place| start + place as usize));
    }
    let metrics = order.iter().map(|place| found[*place].metric).collect();
    let mut found: Vec<Option<Found>> = found.into_iter().map(Some).collect();
    (order.into_iter().filter_map(|place| found[place].take()).map(become_one).collect(), metrics)
}

/// The series of some pieces, and for each piece whose it is.
fn series_of(plan: &Plan<'_>, pieces: &[Piece]) -> Result<(Vec<Found>, Vec<u32>), Failed> {
    let (mut all, mut targets) = (Vec::new(), Vec::with_capacity(pieces.len()));
    // Of pieces that are alike: the first of each series, its key if a memtable has it, and how many samples.
    let mut these: Vec<(Piece, Option<&Key>, usize)> = Vec::new();
    for alike in pieces.chunk_by(|a, b| a.is_like(b)) {
        for piece in alike {
            // One series, but for the rare case of two with the same id.
            let known = these.iter().position(|(first, ..)| plan.is_same(first, piece));
            let place = known.unwrap_or(these.len());
            if known.is_none() {
                these.push((*piece, None, 0));
            }
            let (_, key, n_about) = &mut these[place];
            *n_about += piece.n_about as usize;
            if let Source::Memtable { series, .. } = &plan.sources[piece.source as usize] {
                key.get_or_insert(&series[piece.number as usize].1);
            }
            targets.push((all.len() + place) as u32);
        }
        for (first, key, n_about) in these.drain(..) {
            let key = key.map_or_else(|| plan.key(&first), |key| Ok(key.clone()))?;
            all.push(Found { metric: first.metric, key, n_about, samples: Vec::new(), is_ordered: true });
        }
    }
    Ok((all, targets))
}

impl Desk {
    fn new() -> Desk {
        Desk { unzip: None, readers: Vec::new() }
    }

    /// The series of some pieces with their samples in `range`; none without a sample.
    fn series(
        &mut self,
        plan: &Plan<'_>,
        files: &dyn Files,
        range: TimeRange,
        pieces: &[Piece],
    ) -> Result<Vec<Found>, Failed> {
        let (mut found, targets) = series_of(plan, pieces)?;
        self.read(plan, files, range, pieces, &targets, &mut found)?;
        for Found { samples, .. } in found.iter_mut().filter(|found| !found.is_ordered) {
            // Stable, so that samples of the same time stay in order of arrival.
            samples.sort_by_key(|sample| sample.at);
            keep_last(samples);
        }
        found.retain(|found| !found.samples.is_empty());
        Ok(found)
    }

    /// Reads the samples of some pieces, a source after the other, into their series.
    fn read(
        &mut self,
        plan: &Plan<'_>,
        files: &dyn Files,
        range: TimeRange,
        pieces: &[Piece],
        targets: &[u32],
        series: &mut [Found],
    ) -> Result<(), Failed> {
        series.iter_mut().for_each(|found| found.samples = Vec::with_capacity(found.n_about));
        let mut by_source: Vec<Vec<u32>> = vec![Vec::new(); plan.sources.len()];
        for (number, piece) in pieces.iter().enumerate() {
            by_source[piece.source as usize].push(number as u32);
        }
        self.readers.resize_with(plan.sources.len(), || None);
        for (source, numbers) in by_source.iter().enumerate().filter(|(_, numbers)| !numbers.is_empty()) {
            self.expect(plan, files, range, pieces, source, numbers)?;
            for number in numbers {
                let (piece, found) = (&pieces[*number as usize], &mut series[targets[*number as usize] as usize]);
                let n_before = found.samples.len();
                self.read_piece(plan, files, range, piece, found)?;
                if let (Some(last), Some(next)) = (n_before.checked_sub(1), found.samples.get(n_before)) {
                    found.is_ordered &= found.samples[last].at < next.at;
                }
            }
            if plan.sources.len() > MAX_OPEN {
                self.readers[source] = None;
            }
        }
        Ok(())
    }

    /// Has the pieces of a source that is far away brought near at once.
    fn expect(
        &mut self,
        plan: &Plan<'_>,
        files: &dyn Files,
        range: TimeRange,
        pieces: &[Piece],
        source: usize,
        numbers: &[u32],
    ) -> Result<(), Failed> {
        let Source::Block { block, index, .. } = &plan.sources[source] else { return Ok(()) };
        if block.entry().place != Place::Bucket {
            return Ok(());
        }
        let reader = match &mut self.readers[source] {
            Some(reader) => reader,
            none => none.insert(block.reader_of(files, index).map_err(failed(block.path()))?),
        };
        let runs = numbers.iter().map(|number| index.run(pieces[*number as usize].number as usize));
        reader.expect(runs, range).map_err(failed(block.path()))
    }

    fn read_piece(
        &mut self,
        plan: &Plan<'_>,
        files: &dyn Files,
        range: TimeRange,
        piece: &Piece,
        found: &mut Found,
    ) -> Result<(), Failed> {
        let samples = &mut found.samples;
        let (block, index, hidden) = match &plan.sources[piece.source as usize] {
            Source::Block { block, index, hidden, .. } => (block, index, hidden),
            Source::Memtable { memtable, series } => {
                memtable.append_to(series[piece.number as usize].0, range, samples);
                return Ok(());
            }
        };
        let unzip = match &mut self.unzip {
            Some(unzip) => unzip,
            none => none.insert(Unzip::new().map_err(|error| failed(block.path())(error.into()))?),
        };
        let reader = match &mut self.readers[piece.source as usize] {
            Some(reader) => reader,
            none => none.insert(block.reader_of(files, index).map_err(failed(block.path()))?),
        };
        let n_before = samples.len();
        reader.run(unzip, &index.run(piece.number as usize), range, samples).map_err(failed(block.path()))?;
        if !hidden.is_empty() {
            let mut left = samples.split_off(n_before);
            hidden.take_from(&found.key, &mut left);
            samples.append(&mut left);
        }
        Ok(())
    }

    /// Keeps the files open and lets go of pages that the next stretch, far away, does not need.
    fn tidy(&mut self) {
        self.readers.iter_mut().flatten().for_each(BlockReader::forget);
    }
}
