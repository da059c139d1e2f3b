//! What a question will read: which runs of which blocks and which columns of which memtables, found without reading
//! a sample.
//!
//! Blocks are sorted by metric and series id, and so are the pieces here: a series' pieces are neighbours, and a
//! stretch of pieces is a stretch of rows in every block, which one thread can read from front to back.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;

use super::super::block::{Block, BlockIndex, Run};
use super::super::deletes::Hidden;
use super::super::files::Files;
use super::super::memtable::Memtable;
use super::super::merge::share_within;
use super::super::parallel::{each, n_threads};
use super::super::postings::NumberSet;
use super::super::shared::Shared;
use super::super::table::SeriesTable;
use super::super::view::View;
use super::super::wal::record::SeriesRef;
use super::{Failed, check_numbers, failed, left, overlapping};
use crate::series::{Key, Millis, Selector, SeriesId, TimeRange};

// Fewer runs are matched in less time than a thread takes to start.
const MIN_PARALLEL_RUNS: u64 = 50_000;
// Comparing all texts of two blocks pays from so many pieces on.
const MIN_TEXT_PIECES: usize = 10_000;

/// Where pieces come from, in order of arrival.
pub(super) enum Source<'a> {
    Block {
        block: &'a Block,
        index: Arc<BlockIndex>,
        hidden: Hidden<'a>,
        /// Sources with the same number here number their texts and shapes in the same way.
        texts: usize,
    },
    Memtable {
        memtable: &'a Memtable,
        series: Vec<(SeriesRef, Key)>,
    },
}

/// A part of a series that is in one source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// The rank of the metric's name among the names met.
    pub(super) metric: u32,
    pub(super) source: u32,
    id: SeriesId,
    /// Number of the run, or place in the list of a memtable's series.
    pub(super) number: u32,
    /// About how many samples.
    pub(super) n_about: u32,
}

impl Piece {
    /// Whether both are of one series, or else of two whose ids collide.
    pub(super) fn is_like(&self, other: &Piece) -> bool {
        (self.metric, self.id) == (other.metric, other.id)
    }
}

/// Everything that will be read.
pub(super) struct Plan<'a> {
    pub(super) sources: Vec<Source<'a>>,
    /// By metric, id and source.
    pub(super) pieces: Vec<Piece>,
    table: &'a SeriesTable,
}

impl<'a> Plan<'a> {
    /// Looks up what `selector` means and may have a sample in `range`, in the blocks that `is_wanted` and in all
    /// memtables.
    pub(super) fn new(
        shared: &'a Shared,
        view: &'a View,
        selector: &Selector,
        range: TimeRange,
        is_wanted: impl Fn(&Block) -> bool,
    ) -> Result<Plan<'a>, Failed> {
        let blocks: Vec<&Block> =
            overlapping(view, range).map(|block| &**block).filter(|block| is_wanted(block)).collect();
        let files = &*shared.files;
        let look = |_: &mut (), number: usize| matched(view, files, blocks[number], selector, range);
        let matched = each(blocks.len(), n_threads_for(&blocks), || (), look);
        let mut plan = Plan { sources: Vec::new(), pieces: Vec::new(), table: &shared.table };
        let mut metrics = Metrics::default();
        for (block, matched) in blocks.into_iter().zip(matched) {
            let (index, runs, hidden) = matched?;
            if !runs.is_empty() {
                plan.add_runs(&index, &runs, range, &mut metrics);
                plan.sources.push(Source::Block { block, index, hidden, texts: plan.sources.len() });
            }
        }
        let numbers = shared.table.postings().matching(selector);
        for memtable in view.memtables() {
            plan.add_columns(memtable, numbers.as_ref(), range, &mut metrics);
        }
        check_numbers(shared, view)?;
        let ranks = metrics.ranks();
        plan.pieces.iter_mut().for_each(|piece| piece.metric = ranks[piece.metric as usize]);
        // Stable, so that sources stay in order, and quick where sources are sorted already, as blocks are.
        plan.pieces.sort_by_key(|piece| (piece.metric, piece.id));
        if plan.pieces.len() >= MIN_TEXT_PIECES {
            plan.compare_texts();
        }
        Ok(plan)
    }

    fn add_runs(&mut self, index: &BlockIndex, runs: &[usize], range: TimeRange, metrics: &mut Metrics) {
        let source = self.sources.len() as u32;
        let mut last = None;
        let metric_of = index.metric_ids();
        self.pieces.reserve(runs.len());
        for number in runs {
            let run = index.run(*number);
            let text = metric_of(&run);
            let metric = match last {
                Some((known, metric)) if known == text => metric,
                _ => metrics.number(text.map_or("", |text| index.text(text))),
            };
            last = Some((text, metric));
            let n_about = share(&run, range);
            self.pieces.push(Piece { metric, source, id: run.id, number: *number as u32, n_about });
        }
    }

    fn add_columns(
        &mut self,
        memtable: &'a Memtable,
        numbers: Option<&NumberSet>,
        range: TimeRange,
        metrics: &mut Metrics,
    ) {
        let (source, start) = (self.sources.len() as u32, self.pieces.len());
        let mut series = Vec::new();
        memtable.for_each(numbers, range, |number, column| {
            let n_about = clamped(column.n_about(range));
            let metric = metrics.number(column.key().metric());
            let place = series.len() as u32;
            self.pieces.push(Piece { metric, source, id: column.key().id(), number: place, n_about });
            series.push((number, column.key().clone()));
        });
        if self.pieces.len() > start {
            self.sources.push(Source::Memtable { memtable, series });
        }
    }

    /// Finds blocks whose texts are numbered alike: those that flushes of the same series made, one after the other.
    fn compare_texts(&mut self) {
        for number in 1..self.sources.len() {
            let (before, after) = self.sources.split_at_mut(number);
            if let (Some(Source::Block { index: a, texts, .. }), Source::Block { index: b, texts: to, .. }) =
                (before.last(), &mut after[0])
                && a.has_texts_of(b)
            {
                *to = *texts;
            }
        }
    }

    /// About how many samples will be read: by proportion where a run reaches beyond the range.
    pub(super) fn n_samples(&self) -> u64 {
        self.pieces.iter().map(|piece| u64::from(piece.n_about)).sum()
    }

    /// Cuts the pieces into stretches of about `n_samples` samples, never within a series.
    pub(super) fn stretches(&self, n_samples: u64) -> Vec<Range<usize>> {
        let (mut stretches, mut start, mut n) = (Vec::new(), 0, 0);
        for (number, piece) in self.pieces.iter().enumerate() {
            let is_new = number > 0 && !piece.is_like(&self.pieces[number - 1]);
            if is_new && n >= n_samples {
                stretches.push(start..number);
                (start, n) = (number, 0);
            }
            n += u64::from(piece.n_about) + 1;
        }
        stretches.push(start..self.pieces.len());
        stretches
    }

    /// The key of a piece's series.
    pub(super) fn key(&self, piece: &Piece) -> Result<Key, Failed> {
        match &self.sources[piece.source as usize] {
            Source::Memtable { series, .. } => Ok(series[piece.number as usize].1.clone()),
            Source::Block { block, index, .. } => {
                let run = index.run(piece.number as usize);
                // Most are active, and then it is there already.
                let known = self.table.key(run.id, index.labels(&run));
                known.map_or_else(|| index.key(&run).map_err(failed(block.index_path())), Ok)
            }
        }
    }

    /// When the newest sample is that a piece's run or column has, be it beyond the range.
    pub(super) fn newest(&self, piece: &Piece) -> Millis {
        match &self.sources[piece.source as usize] {
            Source::Memtable { memtable, series } => memtable.newest(series[piece.number as usize].0),
            Source::Block { index, .. } => index.run(piece.number as usize).max_time,
        }
    }

    /// Whether two pieces that are alike are indeed of one series.
    pub(super) fn is_same(&self, a: &Piece, b: &Piece) -> bool {
        match (&self.sources[a.source as usize], &self.sources[b.source as usize]) {
            (Source::Block { index, .. }, Source::Block { index: other, .. })
                if Arc::ptr_eq(index.keys(), other.keys()) =>
            {
                a.number == b.number
            }
            (Source::Block { index, texts, .. }, Source::Block { index: other, texts: other_texts, .. }) => {
                let (run, other_run) = (index.run(a.number as usize), other.run(b.number as usize));
                if texts == other_texts {
                    index.label_ids(&run).eq(other.label_ids(&other_run))
                } else {
                    index.labels(&run).eq(other.labels(&other_run))
                }
            }
            (Source::Memtable { series, .. }, Source::Memtable { series: others, .. }) => {
                series[a.number as usize].1 == others[b.number as usize].1
            }
            (Source::Block { index, .. }, Source::Memtable { series, .. }) => {
                index.labels(&index.run(a.number as usize)).eq(series[b.number as usize].1.labels().iter())
            }
            (Source::Memtable { .. }, Source::Block { .. }) => self.is_same(b, a),
        }
    }
}

/// How many threads looking into these blocks' indexes is worth.
pub(super) fn n_threads_for(blocks: &[&Block]) -> usize {
    let n_runs: u64 = blocks.iter().map(|block| block.entry().n_series).sum();
    if n_runs < MIN_PARALLEL_RUNS { 1 } else { n_threads() }
}

/// A block's index, and the numbers of the runs that are meant and of which not all is deleted.
type Matched<'a> = (Arc<BlockIndex>, Vec<usize>, Hidden<'a>);

/// Looks up what `selector` means in one block.
pub(super) fn matched<'a>(
    view: &'a View,
    files: &dyn Files,
    block: &Block,
    selector: &Selector,
    range: TimeRange,
) -> Result<Matched<'a>, Failed> {
    let index = block.index(files).map_err(failed(block.index_path()))?;
    let hidden = view.tombstones.of_block(&block.entry().id);
    let runs = left(&index, index.matching(selector, range), &hidden).map_err(failed(block.index_path()))?;
    Ok((index, runs, hidden))
}

/// About how many of a run's samples lie in `range`.
fn share(run: &Run, range: TimeRange) -> u32 {
    if range.contains(run.min_time) && range.contains(run.max_time) {
        return run.n_rows;
    }
    clamped(share_within(u64::from(run.n_rows), run.min_time, run.max_time, range))
}

fn clamped(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The names of the metrics met, numbered.
#[derive(Default)]
struct Metrics {
    numbers: HashMap<String, u32>,
}

impl Metrics {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// By number, the place of the name among all, sorted.
    fn ranks(self) -> Vec<u32> {
        let mut names: Vec<(String, u32)> = self.numbers.into_iter().collect();
        names.sort_unstable();
        let mut ranks = vec![0; names.len()];
        for (rank, (_, number)) in names.iter().enumerate() {
            ranks[*number as usize] = rank as u32;
        }
        ranks
    }
}
