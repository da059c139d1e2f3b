//! Writing one block: series in block order go in, a Parquet file and its sidecar come out.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;
use ulid::Ulid;

use super::super::error::BlockError;
use super::super::files::{self, Files, Output, Summed};
use super::super::layout::Layout;
use super::super::manifest::BlockEntry;
use super::index::{BlockIndex, Run, block_order};
use super::rows::RowGroup;
use super::schema::{BLOCK_VERSION, Effort, SCHEMA, ValueEncoding, properties};
use crate::series::{Key, Millis, Sample};

/// What a block says about itself beyond its rows.
#[derive(Clone, Debug)]
pub(in crate::storage) struct About {
    pub(in crate::storage) date: String,
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
    factories: Vec<ArrowRowGroupWriterFactory>,
    runs: Vec<Run>,
    group: RowGroup,
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
        let schema = ArrowSchemaConverter::new().convert(&SCHEMA)?.root_schema_ptr();
        let factory = |encoding| {
            // A factory takes its settings from a file writer; this one's file is nowhere.
            let settings = properties(about.effort, encoding);
            let nowhere = SerializedFileWriter::new(io::sink(), Arc::clone(&schema), settings)?;
            Ok::<_, BlockError>(ArrowRowGroupWriterFactory::new(&nowhere, Arc::clone(&SCHEMA)))
        };
        let factories = ValueEncoding::ALL.into_iter().map(factory).collect::<Result<Vec<_>, _>>()?;
        let output: Box<dyn Output> = Box::new(Summed::new(files.create(&tmp)?));
        let file = SerializedFileWriter::new(output, schema, properties(about.effort, ValueEncoding::Plain))?;
        let (runs, group) = (Vec::new(), RowGroup::default());
        Ok(BlockWriter { files, layout, about, id, tmp, file: Some(file), factories, runs, group })
    }

    /// The file that is being written.
    pub(in crate::storage) fn path(&self) -> &Path {
        &self.tmp
    }

    /// Adds a series: after the one before in block order, its samples in time order without duplicates.
    ///
    /// # Errors
    /// When a row group cannot be written.
    pub(in crate::storage) fn push(&mut self, key: &Key, mut samples: &[Sample]) -> Result<(), BlockError> {
        let ([first, ..], [.., last]) = (samples, samples) else { return Ok(()) };
        debug_assert!(self.runs.last().is_none_or(|run| block_order(&run.key, key).is_lt()));
        let row_start = self.runs.last().map_or(0, |run| run.row_start + run.n_rows);
        let n_rows = samples.len() as u64;
        self.runs.push(Run { key: key.clone(), row_start, n_rows, min_time: first.at, max_time: last.at });
        while !samples.is_empty() {
            samples = self.group.fill(key, samples);
            if self.group.is_full() {
                self.write_group()?;
            }
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<(), BlockError> {
        let group = std::mem::take(&mut self.group);
        let file = self.file.as_mut().expect("finish consumes the writer");
        let mut row_group = file.next_row_group()?;
        for chunk in group.encode(&self.factories)? {
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        Ok(())
    }

    /// Writes the rest, syncs both files and moves them to where they belong.
    ///
    /// The block is live only once a manifest names it. A block without samples becomes no file and `None`.
    ///
    /// # Errors
    /// When a file cannot be written; nothing of the block is left then.
    pub(in crate::storage) fn finish(mut self) -> Result<Option<BlockEntry>, BlockError> {
        if self.runs.is_empty() {
            return Ok(None);
        }
        if !self.group.is_empty() {
            self.write_group()?;
        }
        let index = BlockIndex::new(std::mem::take(&mut self.runs));
        let min_time = index.runs().iter().map(|run| run.min_time).min().unwrap_or_default();
        let max_time = index.runs().iter().map(|run| run.max_time).max().unwrap_or_default();
        let (n_bytes, crc32) = self.finish_file(&index, min_time, max_time)?;
        self.place(&index)?;
        Ok(Some(BlockEntry {
            id: std::mem::take(&mut self.id),
            date: std::mem::take(&mut self.about.date),
            sequence: self.about.sequence,
            n_samples: index.n_rows(),
            n_series: index.runs().len() as u64,
            min_time,
            max_time,
            n_bytes,
            crc32: crc32.map(|crc| format!("{crc:08x}")),
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
            ("series_count", index.runs().len().to_string()),
            ("sequence", self.about.sequence.to_string()),
            ("wal_upto", self.about.wal_upto.to_string()),
            ("sources", self.about.sources.join(",")),
        ] {
            file.append_key_value_metadata(KeyValue::new(format!("barograph.{name}"), value));
        }
        file.finish()?;
        let n_bytes = file.bytes_written() as u64;
        file.inner_mut().sync()?;
        Ok((n_bytes, file.inner().crc32()))
    }

    fn place(&self, index: &BlockIndex) -> io::Result<()> {
        let day_dir = self.layout.day_dir(&self.about.date);
        let sidecar = self.layout.sidecar(&self.id);
        let path = self.layout.block(&self.about.date, &self.id);
        let place = || {
            files::write_new(self.files, &self.layout.tmp, &sidecar, &index.encode())?;
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
