//! How issued forecasts turned out as rows, and those that wait to be judged.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use xxhash_rust::xxh3::xxh3_64;

use super::columns::{labels, labels_field, read, read_ints, read_keys, read_times, time_field, times};
use super::read_parquet;
use crate::forecast::{AUTO, Coverage, Figures, Tally, find};
use crate::series::{Key, Millis, Step};
use crate::watch::issued::{JudgedDay, Target};

/// A column and the figure that stands in it.
type Column = (&'static str, fn(&Figures) -> Option<f64>);

/// The figures by column; each is a mean over the counts beside it.
const FIGURES: [Column; 8] = [
    ("mae", |figures| figures.mae),
    ("bias", |figures| figures.bias),
    ("smape", |figures| figures.smape),
    ("mase", |figures| figures.mase),
    ("scaled_bias", |figures| figures.scaled_bias),
    ("coverage", |figures| figures.coverage),
    ("promised", |figures| figures.promised),
    ("width", |figures| figures.width),
];

/// Days of series and lead, as they are at `now`.
pub(in crate::watch) fn judged_rows(days: &[JudgedDay], now: Millis) -> io::Result<RecordBatch> {
    let mut fields = vec![
        time_field("written_at", false),
        Field::new("series_id", DataType::Int64, false),
        labels_field("labels"),
        time_field("day", false),
        Field::new("lead_ms", DataType::Int64, false),
        time_field("judged_until", false),
        Field::new("n", DataType::Int64, false),
        Field::new("n_scaled", DataType::Int64, false),
        Field::new("n_banded", DataType::Int64, false),
        Field::new("n_intervals", DataType::Int64, false),
    ];
    fields.extend(FIGURES.iter().map(|(name, _)| Field::new(*name, DataType::Float64, true)));
    fields.push(Field::new("msis", DataType::Float64, true));
    let figures: Vec<Figures> = days.iter().map(|day| day.tally.figures()).collect();
    let ints = |number: &dyn Fn(&JudgedDay, &Figures) -> i64| {
        Arc::new(days.iter().zip(&figures).map(|(day, figures)| Some(number(day, figures))).collect::<Int64Array>())
    };
    let numbers = |number: &dyn Fn(&Figures) -> Option<f64>| -> Arc<Float64Array> {
        Arc::new(figures.iter().map(number).collect())
    };
    let mut columns: Vec<arrow::array::ArrayRef> = vec![
        times(days.iter().map(|_| now)),
        ints(&|day, _| day.key.id()),
        labels(days.iter().map(|day| day.key.labels().iter())),
        times(days.iter().map(|day| day.day)),
        ints(&|day, _| day.lead),
        times(days.iter().map(|day| day.judged_until)),
        ints(&|_, figures| figures.n as i64),
        ints(&|_, figures| figures.n_scaled as i64),
        ints(&|_, figures| figures.n_banded as i64),
        ints(&|_, figures| figures.n_intervals as i64),
    ];
    for (_, figure) in &FIGURES {
        columns.push(numbers(figure));
    }
    columns.push(numbers(&|figures| figures.msis));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(io::Error::other)
}

/// What [`judged_rows`] wrote.
pub(in crate::watch) fn judged_of(rows: &RecordBatch) -> io::Result<Vec<JudgedDay>> {
    let keys = read_keys(rows)?;
    let (day, until) = (read_times(rows, "day")?, read_times(rows, "judged_until")?);
    let int = |name| read_ints(rows, name);
    let (lead, n, n_scaled, n_banded, n_intervals) =
        (int("lead_ms")?, int("n")?, int("n_scaled")?, int("n_banded")?, int("n_intervals")?);
    let number = |name| read::<Float64Array>(rows, name);
    let columns: Vec<&Float64Array> = FIGURES.iter().map(|(name, _)| number(name)).collect::<io::Result<_>>()?;
    let msis = number("msis")?;
    let maybe = |column: &Float64Array, idx: usize| (!column.is_null(idx)).then(|| column.value(idx));
    let one = |(idx, key): (usize, Option<Key>)| {
        let count = |column: &Int64Array| u64::try_from(column.value(idx)).unwrap_or(0);
        let figure = |nr: usize| maybe(columns[nr], idx);
        let figures = Figures {
            n: count(n),
            n_scaled: count(n_scaled),
            n_banded: count(n_banded),
            n_intervals: count(n_intervals),
            mae: figure(0),
            bias: figure(1),
            smape: figure(2),
            mase: figure(3),
            scaled_bias: figure(4),
            coverage: figure(5),
            promised: figure(6),
            width: figure(7),
            msis: maybe(msis, idx),
        };
        let tally = Tally::from(&figures);
        Some(JudgedDay { key: key?, day: day.value(idx), lead: lead.value(idx), judged_until: until.value(idx), tally })
    };
    Ok(keys.into_iter().enumerate().filter_map(one).collect())
}

/// One row per series, day and lead.
pub(super) fn identities(rows: &RecordBatch) -> io::Result<Vec<(u64, i64, i64)>> {
    let (series, day, written) =
        (read_ints(rows, "series_id")?, read_times(rows, "day")?, read_times(rows, "written_at")?);
    let lead = read_ints(rows, "lead_ms")?;
    let hash = |idx: usize| {
        let parts = [series.value(idx), day.value(idx), lead.value(idx)];
        xxh3_64(&parts.map(i64::to_le_bytes).concat())
    };
    Ok((0..rows.num_rows()).map(|idx| (hash(idx), written.value(idx), 0)).collect())
}

/// Targets that wait.
pub(in crate::watch) fn waiting_rows(waiting: &[(Key, Target)]) -> io::Result<RecordBatch> {
    let schema = Schema::new(vec![
        Field::new("series_id", DataType::Int64, false),
        labels_field("labels"),
        time_field("issued_at", false),
        time_field("target_at", false),
        Field::new("lead_ms", DataType::Int64, false),
        Field::new("step_ms", DataType::Int64, false),
        Field::new("value", DataType::Float64, false),
        Field::new("lower", DataType::Float64, true),
        Field::new("upper", DataType::Float64, true),
        Field::new("coverage", DataType::Float64, true),
        Field::new("scale", DataType::Float64, true),
        Field::new("factor", DataType::Float64, false),
        Field::new("model", DataType::Utf8, false),
    ]);
    let each = || waiting.iter().map(|(_, target)| target);
    let ints = |number: &dyn Fn(&Target) -> i64| Arc::new(each().map(|it| Some(number(it))).collect::<Int64Array>());
    let numbers = |number: &dyn Fn(&Target) -> Option<f64>| Arc::new(each().map(number).collect::<Float64Array>());
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(waiting.iter().map(|(key, _)| Some(key.id())).collect::<Int64Array>()),
            labels(waiting.iter().map(|(key, _)| key.labels().iter())),
            times(each().map(|target| target.issued_at)),
            times(each().map(|target| target.at)),
            ints(&|target| target.lead),
            ints(&|target| target.step.millis()),
            numbers(&|target| Some(target.point)),
            numbers(&|target| target.band.map(|(lower, ..)| lower)),
            numbers(&|target| target.band.map(|(_, upper, _)| upper)),
            numbers(&|target| target.band.map(|(.., coverage)| coverage.share())),
            numbers(&|target| target.scale),
            numbers(&|target| Some(target.factor)),
            Arc::new(StringArray::from_iter_values(each().map(|target| target.model))),
        ],
    )
    .map_err(io::Error::other)
}

/// What [`waiting_rows`] wrote; nothing when there is no file.
pub(in crate::watch) fn read_waiting(path: &Path) -> io::Result<Vec<(Key, Target)>> {
    let mut waiting = Vec::new();
    let batches = match read_parquet(path) {
        Ok(batches) => batches,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(waiting),
        Err(error) => return Err(error),
    };
    for rows in &batches {
        let keys = read_keys(rows)?;
        let (issued, target) = (read_times(rows, "issued_at")?, read_times(rows, "target_at")?);
        let (lead, step) = (read_ints(rows, "lead_ms")?, read_ints(rows, "step_ms")?);
        let number = |name| read::<Float64Array>(rows, name);
        let (value, lower, upper) = (number("value")?, number("lower")?, number("upper")?);
        let (coverage, scale) = (number("coverage")?, number("scale")?);
        // Earlier files have none: bands were not corrected.
        let factor = number("factor").ok();
        let model: &StringArray = read(rows, "model")?;
        let maybe = |column: &Float64Array, idx: usize| (!column.is_null(idx)).then(|| column.value(idx));
        let one = |(idx, key): (usize, Option<Key>)| {
            let coverage = maybe(coverage, idx).and_then(Coverage::new);
            let band = maybe(lower, idx).zip(maybe(upper, idx)).zip(coverage);
            let target = Target {
                issued_at: issued.value(idx),
                at: target.value(idx),
                lead: lead.value(idx),
                step: Step::new(step.value(idx))?,
                point: value.value(idx),
                band: band.map(|((lower, upper), coverage)| (lower, upper, coverage)),
                scale: maybe(scale, idx),
                factor: factor.and_then(|factor| maybe(factor, idx)).unwrap_or(1.0),
                // What bears no registered name is a pool.
                model: find(model.value(idx)).map_or(AUTO, |entry| entry.name),
            };
            Some((key?, target))
        };
        waiting.extend(keys.into_iter().enumerate().filter_map(one));
    }
    Ok(waiting)
}
