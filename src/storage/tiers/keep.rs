//! Making tiers from blocks, letting them go, and taking deletes out of them.

use std::sync::Arc;

use super::super::block::{Block, Unzip};
use super::super::deletes::Tombstones;
use super::super::error::FlushError;
use super::super::keeper::{Keeper, piece};
use super::super::manifest::{BlockEntry, Manifest};
use super::super::plan::{Piece, is_settled};
use super::super::select::left;
use super::super::settings::StoreSettings;
use super::super::shared::Shared;
use super::super::view::View;
use super::file::{TierWriter, index_of, read};
use super::{Tier, TierEntry, fold};
use crate::series::{Key, Millis, TimeRange};

impl StoreSettings {
    /// How long a tier is kept; `None` when it is not made at all.
    pub(in crate::storage) fn retention_of(&self, tier: Tier) -> Option<Millis> {
        match tier {
            Tier::FiveMinutes => self.retention_5m,
            Tier::OneHour => self.retention_1h,
        }
    }

    pub(in crate::storage) fn tiers(&self) -> impl Iterator<Item = Tier> {
        Tier::ALL.into_iter().filter(|tier| self.retention_of(*tier).is_some())
    }
}

/// Whether the file of a tier says what there is to say of its block: neither was a sample deleted since, nor has a
/// merge put another block in its place.
pub(super) fn is_current(entry: &TierEntry, view: &View) -> bool {
    let is_clean = || view.tombstones.of_block(&entry.source).is_empty();
    entry.is_final || (is_clean() && view.blocks.iter().any(|block| block.entry().id == entry.source))
}

impl Keeper {
    /// Makes the tiers of every block that is settled; those of blocks that are no more go.
    pub(in crate::storage) fn downsample(&self, now: Millis) -> Result<(), FlushError> {
        let settings = &self.shared.settings;
        if settings.tiers().next().is_none() && self.state.lock().manifest.tiers.is_empty() {
            return Ok(());
        }
        let _merging = self.merging.lock();
        self.retire_tiers(now)?;
        let view = self.shared.view();
        let pieces: Vec<Piece> = view.blocks.iter().map(|block| piece(block.entry())).collect();
        for (number, block) in view.blocks.iter().enumerate() {
            if is_settled(&pieces, number, now) && self.is_within_reach(block.entry()) {
                self.downsample_block(&view, block, false)?;
            }
        }
        Ok(())
    }

    /// Makes what is missing of the tiers of blocks that are about to be deleted, so that they outlive them.
    pub(in crate::storage) fn downsample_before_the_end(&self, gone: &[BlockEntry]) -> Result<(), FlushError> {
        let view = self.shared.view();
        if self.shared.settings.tiers().next().is_none() && view.tiers.is_empty() {
            return Ok(());
        }
        for block in view.blocks.iter().filter(|block| gone.contains(block.entry())) {
            self.downsample_block(&view, block, true)?;
        }
        Ok(())
    }

    fn downsample_block(&self, view: &View, block: &Arc<Block>, is_last_chance: bool) -> Result<(), FlushError> {
        // What is deleted is taken out of the block first, unless the block goes right now.
        let is_clean = view.tombstones.of_block(&block.entry().id).is_empty();
        let has = |tier: &Tier| {
            let mut entries = view.tiers.iter().filter(|entry| entry.tier == *tier);
            is_clean && entries.any(|entry| entry.source == block.entry().id && !entry.is_final)
        };
        let missing: Vec<Tier> = self.shared.settings.tiers().filter(|tier| !has(tier)).collect();
        let is_due = if is_clean { !missing.is_empty() } else { is_last_chance };
        if !is_due {
            return Ok(());
        }
        let block = self.at_home(block)?;
        let made = self.make(&view.tombstones, &block, &missing)?;
        let span = (block.entry().min_time, block.entry().max_time);
        let is_replaced = |entry: &TierEntry| {
            let overlaps = entry.min_time <= span.1 && span.0 <= entry.last_time();
            !is_current(entry, view) && overlaps && (is_last_chance || missing.contains(&entry.tier))
        };
        self.publish_tiers(&made, is_replaced)
    }

    fn make(&self, tombstones: &Tombstones, block: &Block, tiers: &[Tier]) -> Result<Vec<TierEntry>, FlushError> {
        let Shared { files, layout, .. } = &*self.shared;
        super::super::aside::verify(block).map_err(FlushError::block(block.path()))?;
        let mut reader = block.reader_once(&**files).map_err(FlushError::block(block.path()))?;
        let index = Arc::clone(reader.index());
        let hidden = tombstones.of_block(&block.entry().id);
        let BlockEntry { date, id, .. } = block.entry();
        let create = |tier: &Tier| TierWriter::create(&**files, layout, *tier, date, id);
        let writers = tiers.iter().map(create).collect::<Result<Vec<_>, _>>();
        let mut writers = writers.map_err(FlushError::block(&layout.tmp))?;
        let mut unzip = Unzip::new().map_err(|error| FlushError::block(block.path())(error.into()))?;
        let mut samples = Vec::new();
        for run in index.runs() {
            let key = index.key(&run).map_err(FlushError::block(block.index_path()))?;
            samples.clear();
            reader.take(&mut unzip, run.n_rows, &mut samples).map_err(FlushError::block(block.path()))?;
            hidden.take_from(&key, &mut samples);
            for (tier, writer) in tiers.iter().zip(&mut writers) {
                let pushed = writer.push(&key, &fold(&samples, tier.width()));
                pushed.map_err(FlushError::block(&layout.tiers))?;
            }
        }
        let finished = writers.into_iter().map(TierWriter::finish).collect::<Result<Vec<_>, _>>();
        Ok(finished.map_err(FlushError::block(&layout.tiers))?.into_iter().flatten().collect())
    }

    /// Adds entries, and removes those that `is_gone` says.
    fn publish_tiers(&self, made: &[TierEntry], is_gone: impl Fn(&TierEntry) -> bool) -> Result<(), FlushError> {
        let change = |manifest: &mut Manifest| {
            manifest.remove_tiers(|entry| is_gone(entry));
            manifest.tiers.extend_from_slice(made);
        };
        let published = self.publish_with(&[], &[], None, change, |_| {});
        if published.is_err() {
            self.doom_tiers(made);
        }
        published
    }

    /// Deletes the files of entries that no manifest names, as soon as that is durable.
    pub(in crate::storage) fn doom_tiers(&self, entries: &[TierEntry]) {
        let Shared { layout, .. } = &*self.shared;
        let mut state = self.state.lock();
        for entry in entries {
            state.doomed.extend([layout.tier_file(entry), layout.sidecar(&entry.id)]);
        }
        self.tidy(&mut state);
    }

    fn retire_tiers(&self, now: Millis) -> Result<(), FlushError> {
        let view = self.shared.view();
        let newest =
            view.tiers.iter().map(TierEntry::last_time).chain(view.blocks.iter().map(|block| block.entry().max_time));
        // As with blocks, a clock that jumps ahead deletes nothing.
        let newest = newest.max().map_or(now, |newest| newest.min(now));
        let settings = &self.shared.settings;
        let is_old = |entry: &TierEntry| {
            let retention = settings.retention_of(entry.tier);
            retention.is_some_and(|retention| entry.last_time() < newest.saturating_sub(retention))
        };
        if view.tiers.iter().any(is_old) { self.publish_tiers(&[], is_old) } else { Ok(()) }
    }

    /// Writes the files of tiers again that a delete concerns and that cannot be made from their block any more.
    ///
    /// A window that a delete touches goes as a whole: its numbers would tell of what is deleted. The caller holds
    /// `merging`.
    pub(in crate::storage) fn carry_out_deletes_in_tiers(&self) -> Result<(), FlushError> {
        let Shared { files, layout, .. } = &*self.shared;
        let view = self.shared.view();
        let is_concerned = |entry: &&TierEntry| entry.is_final && !view.tombstones.of_block(&entry.id).is_empty();
        for entry in view.tiers.iter().filter(is_concerned) {
            let hidden = view.tombstones.of_block(&entry.id);
            let path = layout.tier_file(entry);
            let index = index_of(&**files, layout, entry).map_err(FlushError::block(&path))?;
            let writer = TierWriter::create(&**files, layout, entry.tier, &entry.date, &entry.source);
            let mut writer = writer.map_err(FlushError::block(&layout.tmp))?;
            for run in index.runs() {
                let mut windows = read(&**files, layout, entry, &[run]).map_err(FlushError::block(&path))?;
                let mut windows = windows.pop().unwrap_or_default();
                let key = index.key(&run).map_err(FlushError::block(&path))?;
                windows.retain(|window| !hidden.touches(&key, window.start, window.start + entry.tier.width() - 1));
                writer.push(&key, &windows).map_err(FlushError::block(&layout.tiers))?;
            }
            let made = writer.finish().map_err(FlushError::block(&layout.tiers))?;
            let made: Vec<TierEntry> = made.into_iter().map(|made| TierEntry { is_final: true, ..made }).collect();
            self.publish_tiers(&made, |other| other.id == entry.id)?;
        }
        Ok(())
    }

    /// The files of tiers that a delete must name: those that stand for samples which are gone.
    pub(in crate::storage) fn tiers_with(
        &self,
        view: &View,
        selector: &crate::series::Selector,
        range: TimeRange,
        keys: &mut hashbrown::HashSet<Key>,
    ) -> Result<Vec<String>, FlushError> {
        let Shared { files, layout, .. } = &*self.shared;
        let mut ids = Vec::new();
        for entry in
            view.tiers.iter().filter(|entry| entry.is_final && range.overlaps(entry.min_time, entry.last_time()))
        {
            let index = index_of(&**files, layout, entry).map_err(FlushError::block(&layout.tier_file(entry)))?;
            let width =
                TimeRange::new(range.start().saturating_sub(entry.tier.width() - 1), range.end()).unwrap_or(range);
            let n_before = ids.len();
            let hidden = view.tombstones.of_block(&entry.id);
            let runs = left(&index, index.matching(selector, width), &hidden);
            for number in runs.map_err(FlushError::block(&layout.tier_file(entry)))? {
                keys.insert(index.key(&index.run(number)).map_err(FlushError::block(&layout.tier_file(entry)))?);
                if ids.len() == n_before {
                    ids.push(entry.id.clone());
                }
            }
        }
        Ok(ids)
    }
}
