//! What is left of a block whose bytes have changed: samples whose pages are whole become a block of their own.
//!
//! The sidecar says where the pages are and whose they are, and has a checksum, so that neither the footer nor any other
//! column of the block is needed. Without a sound sidecar nothing is saved.

use std::sync::Arc;

use super::block::{About, BlockIndex, BlockReader, BlockWriter, Effort, Unzip};
use super::deletes::Tombstones;
use super::error::BlockError;
use super::files::Files;
use super::layout::Layout;
use super::manifest::BlockEntry;
use crate::series::Sample;

/// How many samples of a damaged block can still be read.
pub(super) fn n_left(files: &dyn Files, layout: &Layout, entry: &BlockEntry) -> u64 {
    let mut n_left = 0;
    let walked = each_left(files, layout, entry, |_, _, samples| {
        n_left += samples.len() as u64;
        Ok(())
    });
    walked.map_or(0, |()| n_left)
}

/// Writes what can still be read of a damaged block, without what is deleted, to a new one that stands in its place;
/// `None` when that is nothing. It is live once a manifest names it.
///
/// # Errors
/// When the block cannot be opened, its sidecar is not sound, or the new block cannot be written.
pub(super) fn salvage(
    files: &dyn Files,
    layout: &Layout,
    entry: &BlockEntry,
    wal_upto: u64,
    tombstones: &Tombstones,
) -> Result<Option<BlockEntry>, BlockError> {
    let effort = if entry.is_lasting { Effort::Lasting } else { Effort::Fresh };
    let about = About { sequence: entry.sequence, wal_upto, sources: vec![entry.id.clone()], effort };
    let mut writer = BlockWriter::create(files, layout, about)?;
    let hidden = tombstones.of_block(&entry.id);
    each_left(files, layout, entry, |index, run, mut samples| {
        let key = index.key(&index.run(run))?;
        hidden.take_from(&key, &mut samples);
        writer.push(&key, &samples)
    })?;
    writer.finish()
}

/// Shows the samples of each series that can still be read, in the order of the block.
fn each_left(
    files: &dyn Files,
    layout: &Layout,
    entry: &BlockEntry,
    mut show: impl FnMut(&BlockIndex, usize, Vec<Sample>) -> Result<(), BlockError>,
) -> Result<(), BlockError> {
    let index = BlockIndex::decode(&files.read(&layout.sidecar(&entry.id))?)?;
    if index.n_rows() != entry.n_samples || !index.has_pages() {
        return Err(BlockError::Damaged("its sidecar is not its own".to_owned()));
    }
    let index = Arc::new(index);
    let file = files.open(&layout.block(&entry.date, &entry.id))?;
    let mut reader = BlockReader::new(Box::new(file), Arc::clone(&index));
    let mut unzip = Unzip::new()?;
    for run in 0..index.n_runs() {
        show(&index, run, reader.left_of(&mut unzip, run))?;
    }
    Ok(())
}
