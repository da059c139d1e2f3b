//! Writing one block: series in block order go in, a Parquet file and its sidecar come out.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;
use ulid::Ulid;

use super::super::error::BlockError;
use super::super::files::{self, Files, Output, Summed};
use super::super::layout::{Layout, date_of, day_of};
use super::super::manifest::{BlockEntry, Place};
use super::super::texts::TextId;
use super::chunk::{Chunk, Zip};
use super::index::{BlockIndex, IndexBuilder};
use super::keys::BlockKeys;
use super::pages::Pages;
use super::rows::RowGroup;
use super::schema::{BLOCK_VERSION, Effort, SCHEMA, TIMESTAMP, VALUE, properties};
use crate::series::{Key, Millis, Sample, SeriesId};

/// What a block says about itself beyond its rows.
#[derive(Clone, Debug)]
pub(in crate::storage) struct About {
    pub(in crate::storage) sequence: u64,
    /// The last segment of the log that is in it.
    pub(in crate::storage) wal_upto: u64,
    /// The blocks it replaces.
    pub(in crate::storage) sources: Vec<String>,
    pub(in crate::storage) effort: Effort,
}

/// A block that is being written, under a temporary name until it is finished.
pub(in crate::storage) struct BlockWriter<'a> {
    files: &'a dyn Files,
    layout: &'a Layout,
    about: About,
    id: String,
    tmp: PathBuf,
    // `None` only once finished.
    file: Option<SerializedFileWriter<Box<dyn Output>>>,
    zip: Zip,
    index: IndexBuilder,
    pages: Pages,
    group: RowGroup,
    labels: Vec<(TextId, TextId)>,
}

impl<'a> BlockWriter<'a> {
    /// Starts a block.
    ///
    /// # Errors
    /// When its temporary file cannot be made.
    pub(in crate::storage) fn create(
        files: &'a dyn Files,
        layout: &'a Layout,
        about: About,
    ) -> Result<BlockWriter<'a>, BlockError> {
        let id = new_id();
        let tmp = layout.tmp.join(format!("{id}.parquet"));
        let zip = Zip::new()?;
        let output: Box<dyn Output> = Box::new(Summed::new(files.create(&tmp)?));
        let file = Some(SerializedFileWriter::new(output, SCHEMA.root_schema_ptr(), properties())?);
        let (index, pages, group, labels) = Default::default();
        Ok(BlockWriter { files, layout, about, id, tmp, file, zip, index, pages, group, labels })
    }

    /// Makes room for so many series, which may be those of another block.
    pub(in crate::storage) fn expect(&mut self, n_series: usize, keys: Option<&Arc<BlockKeys>>) {
        self.index = keys.map_or_else(IndexBuilder::default, |keys| IndexBuilder::like(Arc::clone(keys)));
        self.index.expect(n_series);
    }

    /// The file that is being written.
    pub(in crate::storage) fn path(&self) -> &Path {
        &self.tmp
    }

    /// Adds a series: after the one before in block order, its samples in time order without duplicates.
    ///
    /// # Errors
    /// When a row group cannot be written.
    pub(in crate::storage) fn push(&mut self, key: &Key, samples: &[Sample]) -> Result<(), BlockError> {
        let mut labels = std::mem::take(&mut self.labels);
        self.index.number(key, &mut labels);
        let pushed = self.push_labels(key.id(), &labels, samples);
        self.labels = labels;
        pushed
    }

    /// As [`push`](BlockWriter::push), for labels that [`text`](BlockWriter::text) has numbered.
    ///
    /// # Errors
    /// When a row group cannot be written.
    pub(in crate::storage) fn push_labels(
        &mut self,
        id: SeriesId,
        labels: &[(TextId, TextId)],
        mut samples: &[Sample],
    ) -> Result<(), BlockError> {
        let ([first, ..], [.., last]) = (samples, samples) else { return Ok(()) };
        self.index.push(id, labels, samples.len(), (first.at, last.at), last.value)?;
        if self.group.is_done_before(samples.len()) {
            self.write_group()?;
        }
        while !samples.is_empty() {
            samples = self.group.fill(id, labels, self.index.texts(), samples);
            if self.group.is_full() {
                self.write_group()?;
            }
        }
        Ok(())
    }

    /// The number of a label's name or value in this block.
    pub(in crate::storage) fn text(&mut self, text: &str) -> TextId {
        self.index.text(text)
    }

    fn write_group(&mut self) -> Result<(), BlockError> {
        let file = self.file.as_mut().expect("finish consumes the writer");
        let encoded = self.group.encode(self.index.texts(), self.about.effort, &mut self.zip)?;
        let mut start = file.bytes_written() as u64;
        let mut starts = [0; 6];
        let mut row_group = file.next_row_group()?;
        let mut kept = Vec::new();
        for (leaf, chunk) in encoded.chunks.into_iter().enumerate() {
            let Chunk { bytes, close, parts } = chunk;
            starts[leaf] = start;
            start += bytes.len() as u64;
            row_group.append_column(&Bytes::from(bytes), close)?;
            kept.push(parts);
        }
        row_group.close()?;
        self.group.clear();
        self.pages.add_group((&kept[TIMESTAMP], starts[TIMESTAMP]), &encoded.bounds, (&kept[VALUE], starts[VALUE]));
        Ok(())
    }

    /// Writes the rest, syncs both files and moves them to where they belong.
    ///
    /// The block is live only once a manifest names it. A block without samples becomes no file and `None`.
    ///
    /// # Errors
    /// When a file cannot be written; nothing of the block is left then.
    pub(in crate::storage) fn finish(mut self) -> Result<Option<BlockEntry>, BlockError> {
        if self.index.n_runs() == 0 {
            return Ok(None);
        }
        if !self.group.is_empty() {
            self.write_group()?;
        }
        self.group = RowGroup::default();
        let index = std::mem::take(&mut self.index).finish(std::mem::take(&mut self.pages));
        let (min_time, max_time) = index.span().unwrap_or_default();
        let (n_bytes, crc32) = self.finish_file(&index, min_time, max_time)?;
        let date = date_of(day_of(min_time));
        self.place(&index, &date)?;
        Ok(Some(BlockEntry {
            id: std::mem::take(&mut self.id),
            date,
            sequence: self.about.sequence,
            n_samples: index.n_rows(),
            n_series: index.n_runs() as u64,
            min_time,
            max_time,
            n_bytes,
            crc32: crc32.map(|crc| format!("{crc:08x}")),
            is_lasting: self.about.effort == Effort::Lasting,
            place: Place::Local,
        }))
    }

    fn finish_file(
        &mut self,
        index: &BlockIndex,
        min_time: Millis,
        max_time: Millis,
    ) -> Result<(u64, Option<u32>), BlockError> {
        let mut file = self.file.take().expect("finish consumes the writer");
        for (name, value) in [
            ("format_version", BLOCK_VERSION.to_string()),
            ("block", self.id.clone()),
            ("min_time", min_time.to_string()),
            ("max_time", max_time.to_string()),
            ("series_count", index.n_runs().to_string()),
            ("sequence", self.about.sequence.to_string()),
            ("wal_upto", self.about.wal_upto.to_string()),
            ("sources", self.about.sources.join(",")),
            ("lasting", (self.about.effort == Effort::Lasting).to_string()),
        ] {
            file.append_key_value_metadata(KeyValue::new(format!("barograph.{name}"), value));
        }
        file.finish()?;
        let n_bytes = file.bytes_written() as u64;
        file.inner_mut().sync()?;
        Ok((n_bytes, file.inner().crc32()))
    }

    fn place(&self, index: &BlockIndex, date: &str) -> io::Result<()> {
        let day_dir = self.layout.day_dir(date);
        let sidecar = self.layout.sidecar(&self.id);
        let path = self.layout.block(date, &self.id);
        let place = || {
            files::write_new_with(self.files, &self.layout.tmp, &sidecar, |output| index.write_to(output))?;
            self.files.sync_dir(&self.layout.index)?;
            files::make_dir(self.files, &day_dir)?;
            self.files.rename(&self.tmp, &path)?;
            self.files.sync_dir(&day_dir)
        };
        place().inspect_err(|_| {
            // The error is the answer; what cannot be removed now is removed at the next start.
            let _ = self.files.remove(&path);
            let _ = self.files.remove(&sidecar);
        })
    }
}

impl Drop for BlockWriter<'_> {
    fn drop(&mut self) {
        // After a success the name is gone already; after a failure a full disk wants its space back.
        let _ = self.files.remove(&self.tmp);
    }
}

/// A name no other block has; names sort by the time they were given.
pub(in crate::storage) fn new_id() -> String {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let random = (u128::from(random_u64()) << 64) | u128::from(random_u64());
    Ulid::from_parts(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX), random).to_string()
}

/// Whether `name` is one that a block could have been given.
pub(in crate::storage) fn is_id(name: &str) -> bool {
    name.len() == 26 && Ulid::from_string(name).is_ok()
}

/// A number that cannot be guessed, from the seed that the standard library's hash maps take from the system.
pub(in crate::storage) fn random_u64() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}
