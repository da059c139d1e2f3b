//! Reading what a plan lists, by several threads: each takes a stretch of series, and reads a block at a time.

use std::ops::Range;

use super::super::block::{BlockReader, Unzip};
use super::super::files::Files;
use super::super::merge::keep_last;
use super::super::parallel::{each, n_threads};
use super::plan::{Piece, Plan, Source};
use super::{Failed, failed};
use crate::series::{Key, Sample, Series, TimeRange};

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
    key: Option<Key>,
    first: Piece,
    n_about: usize,
    samples: Vec<Sample>,
    // Each sample so far is later than the one before.
    is_ordered: bool,
}

/// The series of a plan with their samples in `range`, sorted by key; none without a sample.
pub(super) fn gather(plan: &Plan<'_>, files: &dyn Files, range: TimeRange) -> Result<Vec<Series>, Failed> {
    let read = |desk: &mut Desk, pieces: &[Piece]| {
        let (mut found, targets) = series_of(plan, pieces)?;
        desk.read(plan, files, range, pieces, &targets, &mut found)?;
        let mut series = Vec::with_capacity(found.len());
        for Found { key, mut samples, is_ordered, .. } in found {
            if !is_ordered {
                // Stable, so that samples of the same time stay in order of arrival.
                samples.sort_by_key(|sample| sample.at);
                keep_last(&mut samples);
            }
            if let Some(key) = key.filter(|_| !samples.is_empty()) {
                series.push(Series { key, samples });
            }
        }
        Ok(series)
    };
    in_stretches(plan, read, |series| &series.key)
}

/// The keys of a plan's series, sorted.
pub(super) fn keys(plan: &Plan<'_>) -> Result<Vec<Key>, Failed> {
    let read = |_: &mut Desk, pieces: &[Piece]| {
        Ok(series_of(plan, pieces)?.0.into_iter().filter_map(|found| found.key).collect())
    };
    in_stretches(plan, read, |key| key)
}

fn in_stretches<T: Send>(
    plan: &Plan<'_>,
    read: impl Fn(&mut Desk, &[Piece]) -> Result<Vec<T>, Failed> + Sync,
    key: impl Fn(&T) -> &Key + Sync,
) -> Result<Vec<T>, Failed> {
    let n_samples = plan.n_samples() + plan.pieces.len() as u64;
    let n_threads = n_threads();
    let stretches: Vec<Range<usize>> = plan.stretches((n_samples / (n_threads as u64 * STRETCHES)).max(MIN_STRETCH));
    let parts = each(stretches.len(), n_threads, Desk::new, |desk, number| {
        let mut part = read(desk, &plan.pieces[stretches[number].clone()])?;
        part.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        desk.tidy();
        Ok(part)
    });
    let mut all = Vec::new();
    for part in parts {
        all.append(&mut part?);
    }
    // What is sorted already is merged rather than sorted again.
    all.sort_by(|a, b| key(a).cmp(key(b)));
    Ok(all)
}

/// The series of some pieces, and for each piece whose it is.
fn series_of(plan: &Plan<'_>, pieces: &[Piece]) -> Result<(Vec<Found>, Vec<u32>), Failed> {
    let mut all: Vec<Found> = Vec::new();
    let mut targets = Vec::with_capacity(pieces.len());
    for alike in pieces.chunk_by(|a, b| a.is_like(b)) {
        let start = all.len();
        for piece in alike {
            // One series, but for the rare case of two with the same id.
            let known = all[start..].iter().position(|found| plan.is_same(&found.first, piece));
            let place = known.map_or(all.len(), |place| start + place);
            if known.is_none() {
                all.push(Found { key: None, first: *piece, n_about: 0, samples: Vec::new(), is_ordered: true });
            }
            let found = &mut all[place];
            found.n_about += piece.n_about as usize;
            if let Source::Memtable { series, .. } = &plan.sources[piece.source as usize] {
                found.key.get_or_insert_with(|| series[piece.number as usize].1.clone());
            }
            targets.push(place as u32);
        }
        for found in &mut all[start..] {
            if let (None, Source::Block { block, index, .. }) = (&found.key, &plan.sources[found.first.source as usize])
            {
                let key = index.key(&index.runs()[found.first.number as usize]);
                found.key = Some(key.map_err(failed(block.index_path()))?);
            }
        }
    }
    Ok((all, targets))
}

impl Desk {
    fn new() -> Desk {
        Desk { unzip: None, readers: Vec::new() }
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
        reader.run(unzip, &index.runs()[piece.number as usize], range, samples).map_err(failed(block.path()))?;
        if !hidden.is_empty()
            && let Some(key) = &found.key
        {
            let mut left = samples.split_off(n_before);
            hidden.take_from(key, &mut left);
            samples.append(&mut left);
        }
        Ok(())
    }

    /// Keeps the files open and lets go of pages that the next stretch, far away, does not need.
    fn tidy(&mut self) {
        self.readers.iter_mut().flatten().for_each(BlockReader::forget);
    }
}
