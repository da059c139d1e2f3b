//! Kept forecasts as rows: one per target time.

use std::io;
use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use xxhash_rust::xxh3::xxh3_64;

use super::columns::{labels, labels_field, read, read_ints, read_times, time_field, times};
use crate::forecast::Forecast;
use crate::series::{Key, Millis};

/// A forecast as it was issued.
#[derive(Clone, Debug)]
pub(in crate::watch) struct KeptForecast {
    pub key: Key,
    pub issued_at: Millis,
    pub forecast: Forecast,
}

/// Forecasts issued on one day.
pub(in crate::watch) fn forecast_rows(kept: &[KeptForecast]) -> io::Result<RecordBatch> {
    let schema = Schema::new(vec![
        Field::new("series_id", DataType::Int64, false),
        labels_field("labels"),
        time_field("issued_at", false),
        time_field("target_at", false),
        Field::new("lead", DataType::Int64, false),
        Field::new("step_ms", DataType::Int64, false),
        Field::new("value", DataType::Float64, false),
        Field::new("lower", DataType::Float64, true),
        Field::new("upper", DataType::Float64, true),
        Field::new("coverage", DataType::Float64, true),
        Field::new("model", DataType::Utf8, false),
    ]);
    let rows: Vec<(&KeptForecast, usize)> =
        kept.iter().flat_map(|kept| (0..kept.forecast.points.len()).map(move |lead| (kept, lead))).collect();
    let ints = |number: &dyn Fn(&KeptForecast, usize) -> i64| {
        Arc::new(rows.iter().map(|(kept, lead)| Some(number(kept, *lead))).collect::<Int64Array>())
    };
    let numbers = |number: &dyn Fn(&Forecast, usize) -> Option<f64>| {
        Arc::new(rows.iter().map(|(kept, lead)| number(&kept.forecast, *lead)).collect::<Float64Array>())
    };
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            ints(&|kept, _| kept.key.id()),
            labels(rows.iter().map(|(kept, _)| kept.key.labels().iter())),
            times(rows.iter().map(|(kept, _)| kept.issued_at)),
            times(rows.iter().map(|(kept, lead)| kept.forecast.at(*lead))),
            ints(&|_, lead| lead as i64 + 1),
            ints(&|kept, _| kept.forecast.step.millis()),
            numbers(&|forecast, lead| Some(forecast.points[lead])),
            numbers(&|forecast, lead| forecast.band.as_ref().map(|band| band.lower[lead])),
            numbers(&|forecast, lead| forecast.band.as_ref().map(|band| band.upper[lead])),
            numbers(&|forecast, _| forecast.band.as_ref().map(|band| band.coverage.share())),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|(kept, _)| &kept.forecast.model))),
        ],
    )
    .map_err(io::Error::other)
}

/// One row per target; a forecast is never written a second time in another version.
pub(super) fn identities(rows: &RecordBatch) -> io::Result<Vec<(u64, i64, i64)>> {
    let (series, issued) = (read_ints(rows, "series_id")?, read_times(rows, "issued_at")?);
    let target = read_times(rows, "target_at")?;
    let model: &StringArray = read(rows, "model")?;
    let hash = |idx: usize| {
        let mut bytes = series.value(idx).to_le_bytes().to_vec();
        bytes.extend(issued.value(idx).to_le_bytes());
        bytes.extend(model.value(idx).as_bytes());
        xxh3_64(&bytes)
    };
    Ok((0..rows.num_rows()).map(|idx| (hash(idx), 0, target.value(idx))).collect())
}
