//! Long tables: one value per row, and columns that say whose it is.

use std::borrow::Cow;

use polars::prelude::DataFrame;

use super::ReadError;
use super::cells::{numbers, text_column};
use super::distinct::combinations;
use super::error::bad_labels;
use super::label_maps::LabelMaps;
use crate::batch::input::InputFile;
use crate::batch::roles::Identity;
use crate::batch::rows::{Axis, Rows, Source, key_of_selector};
use crate::series::{Key, LabelLimits, Labels, METRIC_NAME, Millis};

pub(super) fn long_rows(
    file: &InputFile,
    frame: &DataFrame,
    value: &str,
    identity: &Identity,
    axis: Axis,
    at: Vec<Millis>,
) -> Result<Rows, ReadError> {
    let path = &file.path;
    let value = numbers(path, frame, value)?;
    let plain = |name: &str, row: usize| -> Result<Source, ReadError> {
        let selector = key_of_selector(name);
        let is_metric = selector.is_some();
        let key = match selector {
            Some(key) => key,
            None => Key::from_pairs(name, &[]).map_err(|err| bad_labels(path, row, err))?,
        };
        Ok(Source { name: name.to_owned(), key, axis, is_metric })
    };
    let (source_idx, sources) = match identity {
        Identity::File => (vec![0; at.len()], vec![plain(&file.name, 0)?]),
        Identity::Name(column) => {
            let texts = text_column(path, frame, column)?;
            let (idx, first_rows) = combinations(std::slice::from_ref(&texts), at.len());
            let mut sources = Vec::with_capacity(first_rows.len());
            for row in first_rows {
                let name = texts.get(row).ok_or_else(|| {
                    bad_labels(path, row, format!("column `{column}` is empty; every row needs a series"))
                })?;
                sources.push(plain(name, row)?);
            }
            (idx, sources)
        }
        Identity::Labels { metric, map, texts, id } => {
            labelled(file, frame, metric.as_deref(), map.as_deref(), texts, id.as_deref(), axis)?
        }
    };
    Ok(Rows { sources, source_idx, at, value, ..Rows::default() })
}

/// Series named by a metric column, a map of labels and text columns.
fn labelled(
    file: &InputFile,
    frame: &DataFrame,
    metric: Option<&str>,
    map: Option<&str>,
    texts: &[String],
    id: Option<&str>,
    axis: Axis,
) -> Result<(Vec<u32>, Vec<Source>), ReadError> {
    let path = &file.path;
    let n_rows = frame.height();
    let names: Vec<&str> = metric.into_iter().chain(texts.iter().map(String::as_str)).collect();
    let columns = names.iter().map(|name| text_column(path, frame, name)).collect::<Result<Vec<_>, _>>()?;
    let maps = match map {
        Some(map) => Some(LabelMaps::of(path, frame, map)?),
        None => None,
    };
    let (idx, first_rows) = match (&maps, id) {
        (None, _) => combinations(&columns, n_rows),
        // In our own blocks the id stands for all labels, so that the maps are read once per series.
        (Some(_), Some(id)) => combinations(&[text_column(path, frame, id)?], n_rows),
        (Some(maps), None) => {
            let spelled = maps.spelled(n_rows);
            let mut all = columns.clone();
            all.push(Cow::Owned(spelled));
            combinations(&all, n_rows)
        }
    };
    let mut sources = Vec::with_capacity(first_rows.len());
    for row in first_rows {
        let mut pairs: Vec<(String, String)> = maps.as_ref().map(|maps| maps.row(row)).unwrap_or_default();
        for (position, (name, column)) in names.iter().zip(&columns).enumerate() {
            let is_metric = metric.is_some() && position == 0;
            let name = if is_metric { METRIC_NAME } else { name };
            if let Some(value) = column.get(row)
                && !pairs.iter().any(|(known, _)| known == name)
            {
                pairs.push((name.to_owned(), value.to_owned()));
            }
        }
        let is_metric = pairs.iter().any(|(name, _)| name == METRIC_NAME);
        if metric.is_none() && !is_metric {
            pairs.push((METRIC_NAME.to_owned(), file.stem().to_owned()));
        }
        let labels = Labels::new(pairs, &LabelLimits::default()).map_err(|err| bad_labels(path, row, err))?;
        let key = Key::new(labels);
        sources.push(Source { name: key.to_string(), key, axis, is_metric });
    }
    Ok((idx, sources))
}
