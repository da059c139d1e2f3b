//! Anomalies as rows.

use std::io;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::columns::{labels, labels_field, read, read_ints, read_keys, read_times, time_field, times};
use crate::detect::{Anomaly, Kind};
use crate::incident::Member;
use crate::series::Millis;
use crate::watch::anomalies::{AnomalyId, anomaly_id};

/// Anomalies of one day, as they are at `now`.
pub(in crate::watch) fn anomaly_rows(changes: &[(AnomalyId, Member)], now: Millis) -> io::Result<RecordBatch> {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        time_field("written_at", false),
        Field::new("series_id", DataType::Int64, false),
        labels_field("labels"),
        time_field("start", false),
        time_field("end", false),
        Field::new("is_open", DataType::Boolean, false),
        time_field("peak_at", false),
        Field::new("score", DataType::Float64, false),
        Field::new("value", DataType::Float64, false),
        Field::new("expected", DataType::Float64, true),
        Field::new("lower", DataType::Float64, true),
        Field::new("upper", DataType::Float64, true),
        Field::new("kind", DataType::Utf8, false),
        Field::new("detector", DataType::Utf8, false),
        Field::new("explanation", DataType::Utf8, false),
    ]);
    let each = || changes.iter().map(|(_, member)| &member.anomaly);
    let texts = |text: fn(&Anomaly) -> &str| Arc::new(StringArray::from_iter_values(each().map(text)));
    let numbers = |number: fn(&Anomaly) -> Option<f64>| Arc::new(each().map(number).collect::<Float64Array>());
    let ids = changes.iter().map(|((_, id), _)| format!("{id:016x}"));
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(StringArray::from_iter_values(ids)),
            times(changes.iter().map(|_| now)),
            Arc::new(changes.iter().map(|(_, member)| Some(member.key.id())).collect::<Int64Array>()),
            labels(changes.iter().map(|(_, member)| member.key.labels().iter())),
            times(each().map(|anomaly| anomaly.start)),
            times(each().map(|anomaly| anomaly.end)),
            Arc::new(each().map(|anomaly| Some(anomaly.is_open)).collect::<BooleanArray>()),
            times(each().map(|anomaly| anomaly.peak_at)),
            numbers(|anomaly| Some(anomaly.score)),
            numbers(|anomaly| Some(anomaly.value)),
            numbers(|anomaly| anomaly.expected),
            numbers(|anomaly| anomaly.lower),
            numbers(|anomaly| anomaly.upper),
            texts(|anomaly| anomaly.kind.as_str()),
            texts(|anomaly| &anomaly.detector),
            texts(|anomaly| &anomaly.explanation),
        ],
    )
    .map_err(io::Error::other)
}

/// The anomalies in `rows`; rows of a kind this version does not know are left out.
pub(in crate::watch) fn anomalies_of(rows: &RecordBatch) -> io::Result<Vec<Member>> {
    let keys = read_keys(rows)?;
    let (start, end, peak_at) = (read_times(rows, "start")?, read_times(rows, "end")?, read_times(rows, "peak_at")?);
    let is_open: &BooleanArray = read(rows, "is_open")?;
    let number = |name| read::<Float64Array>(rows, name);
    let (score, value) = (number("score")?, number("value")?);
    let (expected, lower, upper) = (number("expected")?, number("lower")?, number("upper")?);
    let text = |name| read::<StringArray>(rows, name);
    let (kind, detector, explanation) = (text("kind")?, text("detector")?, text("explanation")?);
    let maybe = |column: &Float64Array, idx: usize| (!column.is_null(idx)).then(|| column.value(idx));
    let member_of = |(idx, key): (usize, Option<crate::series::Key>)| {
        let anomaly = Anomaly {
            start: start.value(idx),
            end: end.value(idx),
            is_open: is_open.value(idx),
            peak_at: peak_at.value(idx),
            score: score.value(idx),
            value: value.value(idx),
            expected: maybe(expected, idx),
            lower: maybe(lower, idx),
            upper: maybe(upper, idx),
            kind: Kind::parse(kind.value(idx))?,
            detector: detector.value(idx).to_owned(),
            explanation: explanation.value(idx).to_owned(),
        };
        Some(Member { key: key?, anomaly })
    };
    Ok(keys.into_iter().enumerate().filter_map(member_of).collect())
}

/// One row per anomaly, told by series and start.
pub(super) fn identities(rows: &RecordBatch) -> io::Result<Vec<(u64, i64, i64)>> {
    let (series, start, written) =
        (read_ints(rows, "series_id")?, read_times(rows, "start")?, read_times(rows, "written_at")?);
    let hash = |idx: usize| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&series.value(idx).to_le_bytes());
        bytes[8..].copy_from_slice(&start.value(idx).to_le_bytes());
        xxhash_rust::xxh3::xxh3_64(&bytes)
    };
    Ok((0..rows.num_rows()).map(|idx| (hash(idx), written.value(idx), 0)).collect())
}

/// The text by which an anomaly is known in files.
pub(super) fn id_text(member: &Member) -> String {
    format!("{:016x}", anomaly_id(&member.key, member.anomaly.start).1)
}
