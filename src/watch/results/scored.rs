//! Up to when each series was scored: what a restart may score again without telling it again.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use hashbrown::HashMap;

use super::columns::{read_ints, read_times, time_field, times};
use super::read_parquet;
use crate::series::{Millis, SeriesId};

/// Pairs of series and instant.
pub(in crate::watch) fn scored_rows(scored: &[(SeriesId, Millis)]) -> io::Result<RecordBatch> {
    let schema = Schema::new(vec![Field::new("series_id", DataType::Int64, false), time_field("scored_until", false)]);
    let ids = scored.iter().map(|(id, _)| Some(*id)).collect::<Int64Array>();
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ids), times(scored.iter().map(|(_, at)| *at))])
        .map_err(io::Error::other)
}

/// What [`scored_rows`] wrote; nothing when there is no file.
pub(in crate::watch) fn read_scored(path: &Path) -> io::Result<HashMap<SeriesId, Millis>> {
    let mut scored = HashMap::new();
    let batches = match read_parquet(path) {
        Ok(batches) => batches,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(scored),
        Err(error) => return Err(error),
    };
    for rows in &batches {
        let (ids, until) = (read_ints(rows, "series_id")?, read_times(rows, "scored_until")?);
        scored.extend((0..rows.num_rows()).map(|idx| (ids.value(idx), until.value(idx))));
    }
    Ok(scored)
}
