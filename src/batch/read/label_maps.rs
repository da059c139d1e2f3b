//! A column of label maps, as the store's own blocks have one.

use std::path::Path;

use polars::prelude::{DataFrame, DataType, StringChunked};

use super::ReadError;
use super::error::{bad_labels, unreadable};

/// A column of label maps, as polars holds them: lists of (name, value).
pub(super) struct LabelMaps {
    offsets: Vec<usize>,
    names: StringChunked,
    values: StringChunked,
}

impl LabelMaps {
    pub(super) fn of(path: &Path, frame: &DataFrame, name: &str) -> Result<LabelMaps, ReadError> {
        let unreadable = unreadable(path);
        let column = frame.column(name).map_err(unreadable)?.as_materialized_series().rechunk();
        let lists = column.list().map_err(unreadable)?;
        let mut offsets = vec![0];
        for row in 0..lists.len() {
            let n_pairs = lists.get_as_series(row).map_or(0, |list| list.len());
            offsets.push(offsets[row] + n_pairs);
        }
        let inner = lists.get_inner();
        let fields = inner.struct_().map_err(unreadable)?.fields_as_series();
        let as_text = |idx: usize| {
            let field = fields.get(idx).ok_or_else(|| bad_labels(path, 0, "the labels are no (name, value) pairs"))?;
            field.cast(&DataType::String).and_then(|text| text.str().cloned()).map_err(unreadable)
        };
        Ok(LabelMaps { offsets, names: as_text(0)?, values: as_text(1)? })
    }

    pub(super) fn row(&self, row: usize) -> Vec<(String, String)> {
        (self.offsets[row]..self.offsets[row + 1])
            .filter_map(|idx| Some((self.names.get(idx)?.to_owned(), self.values.get(idx)?.to_owned())))
            .collect()
    }

    /// Each row's labels as one text, to tell series apart by.
    pub(super) fn spelled(&self, n_rows: usize) -> StringChunked {
        let mut pairs: Vec<String>;
        let mut texts = Vec::with_capacity(n_rows);
        for row in 0..n_rows {
            pairs = self.row(row).into_iter().map(|(name, value)| format!("{}:{name}{value}", name.len())).collect();
            pairs.sort_unstable();
            texts.push(pairs.join("\u{1f}"));
        }
        texts.iter().map(|text| Some(text.as_str())).collect()
    }
}
