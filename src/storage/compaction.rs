//! Merging: what is read a block at a time is kept in few blocks, by time: 2 hours, then a day, then 30 days.
//!
//! Rows are streamed, a series at a time, and sources are limited, so that a merge's memory does not grow with its
//! blocks. What to merge is decided in `plan.rs`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::aside::verify;
use super::block::{About, Block, BlockIndex, BlockReader, BlockWriter, Effort, Run, Unzip};
use super::deletes::{Hidden, Tombstones};
use super::error::FlushError;
use super::files::Files;
use super::layout::Layout;
use super::manifest::BlockEntry;
use super::merge::keep_last;
use super::texts::TextId;
use crate::series::Sample;

/// One block that is being merged.
struct Source<'a> {
    // What of it is deleted and must not be copied.
    hidden: Hidden<'a>,
    path: PathBuf,
    reader: BlockReader,
    next_run: usize,
    // Whether the new block has numbered its texts as this one does.
    is_model: bool,
    // Otherwise the number that each of its texts has in the new block, once it has one.
    numbers: Vec<Option<TextId>>,
}

impl<'a> Source<'a> {
    fn open(files: &dyn Files, block: &Block, tombstones: &'a Tombstones) -> Result<Source<'a>, FlushError> {
        verify(block).map_err(FlushError::block(block.path()))?;
        let reader = block.reader_once(files).map_err(FlushError::block(block.path()))?;
        let hidden = tombstones.of_block(&block.entry().id);
        let path = block.path().to_owned();
        Ok(Source { hidden, path, reader, next_run: 0, is_model: false, numbers: Vec::new() })
    }

    fn head(&self) -> Option<(&BlockIndex, Run)> {
        let index = &**self.reader.index();
        (self.next_run < index.n_runs()).then(|| (index, index.run(self.next_run)))
    }

    /// Appends the samples of its next run, without what is deleted, to those of earlier sources.
    fn take(&mut self, unzip: &mut Unzip, samples: &mut Vec<Sample>) -> Result<(), FlushError> {
        let Some((index, run)) = self.head() else { return Ok(()) };
        let n_rows = run.n_rows;
        let key = (!self.hidden.is_empty()).then(|| index.key(&run)).transpose();
        let key = key.map_err(FlushError::block(&self.path))?;
        self.next_run += 1;
        let Some(key) = key else {
            return self.reader.take(unzip, n_rows, samples).map_err(FlushError::block(&self.path));
        };
        let mut left = Vec::new();
        self.reader.take(unzip, n_rows, &mut left).map_err(FlushError::block(&self.path))?;
        self.hidden.take_from(&key, &mut left);
        samples.append(&mut left);
        Ok(())
    }

    /// The labels of the run that was taken last, as the new block numbers them.
    fn labels(&mut self, writer: &mut BlockWriter<'_>, labels: &mut Vec<(TextId, TextId)>) {
        labels.clear();
        let index = self.reader.index();
        let Some(taken) = self.next_run.checked_sub(1) else { return };
        let run = index.run(taken);
        let ids = index.label_ids(&run);
        if self.is_model {
            labels.extend(ids);
            return;
        }
        self.numbers.resize(index.n_texts(), None);
        for (name, value) in ids {
            let mut number = |id: TextId| *self.numbers[id as usize].get_or_insert_with(|| writer.text(index.text(id)));
            labels.push((number(name), number(value)));
        }
    }
}

/// Merges `blocks`, in order of arrival, into a new one, without what is deleted.
///
/// # Errors
/// When a source cannot be read, the new block not be written, or the store is closed meanwhile; the sources are
/// untouched.
pub(super) fn merge_blocks(
    files: &dyn Files,
    layout: &Layout,
    blocks: &[Arc<Block>],
    wal_upto: u64,
    effort: Effort,
    is_closed: &AtomicBool,
    tombstones: &Tombstones,
) -> Result<Option<BlockEntry>, FlushError> {
    let sequence = blocks.iter().map(|block| block.entry().sequence).max().unwrap_or(0);
    let ids = blocks.iter().map(|block| block.entry().id.clone()).collect();
    let about = About { sequence, wal_upto, sources: ids, effort };
    let mut sources =
        blocks.iter().map(|block| Source::open(files, block, tombstones)).collect::<Result<Vec<_>, _>>()?;
    let mut writer = BlockWriter::create(files, layout, about).map_err(FlushError::block(&layout.tmp))?;
    // They mostly have the same series.
    let all_keys = sources.iter().map(|source| source.reader.index().keys());
    if let Some(model) = all_keys.max_by_key(|keys| keys.len()).map(Arc::clone) {
        writer.expect(model.len(), Some(&model));
        sources.iter_mut().for_each(|source| source.is_model = Arc::ptr_eq(source.reader.index().keys(), &model));
    }
    let path = writer.path().to_owned();
    let mut unzip = Unzip::new().map_err(|error| FlushError::block(&path)(error.into()))?;
    let (mut samples, mut labels, mut same) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        if is_closed.load(Ordering::Relaxed) {
            // A shutdown does not wait for what can be done again later.
            return Err(FlushError::Closed);
        }
        next_series(&sources, &mut same);
        let Some(first) = same.first() else { break };
        let id = sources[*first].head().map_or(0, |(_, run)| run.id);
        samples.clear();
        let mut is_ordered = true;
        for number in &same {
            let n_before = samples.len();
            sources[*number].take(&mut unzip, &mut samples)?;
            is_ordered &=
                n_before == 0 || samples.get(n_before).is_none_or(|first| samples[n_before - 1].at < first.at);
        }
        if !is_ordered {
            // Stable, so that samples of the same time stay in order of arrival.
            samples.sort_by_key(|sample| sample.at);
            keep_last(&mut samples);
        }
        if samples.is_empty() {
            // All of it is deleted, and its labels are not to be numbered.
            continue;
        }
        sources[same[0]].labels(&mut writer, &mut labels);
        writer.push_labels(id, &labels, &samples).map_err(FlushError::block(&path))?;
    }
    writer.finish().map_err(FlushError::block(&path))
}

/// The sources, in order of arrival, that have the series which is next in block order.
fn next_series(sources: &[Source<'_>], same: &mut Vec<usize>) {
    same.clear();
    for (number, source) in sources.iter().enumerate() {
        let Some((index, run)) = source.head() else { continue };
        let best = same.first().and_then(|best: &usize| sources[*best].head());
        match best.map(|(best_index, best)| index.order(&run, best_index, &best)) {
            Some(std::cmp::Ordering::Greater) => {}
            Some(std::cmp::Ordering::Equal) => same.push(number),
            Some(std::cmp::Ordering::Less) | None => {
                same.clear();
                same.push(number);
            }
        }
    }
}
