//! Incidents as rows: one per series that took part, the likeliest cause first.

use std::io;
use std::sync::Arc;

use arrow::array::{BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use xxhash_rust::xxh3::xxh3_64;

use super::anomalies::id_text;
use super::columns::{labels, labels_field, read, read_ints, read_times, time_field, times};
use crate::incident::{Cause, Incident};
use crate::series::Millis;

/// An incident, whether it was retracted, and one of its causes with its rank.
type Row<'a> = (&'a Incident, bool, usize, &'a Cause);

/// Incidents of one day, as they are at `now`, and whether they were retracted.
pub(in crate::watch) fn incident_rows(changes: &[(Incident, bool)], now: Millis) -> io::Result<RecordBatch> {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        time_field("written_at", false),
        Field::new("is_retracted", DataType::Boolean, false),
        time_field("start", false),
        time_field("end", false),
        Field::new("is_open", DataType::Boolean, false),
        Field::new("summary", DataType::Utf8, false),
        labels_field("shared_labels"),
        Field::new("n_members", DataType::Int64, false),
        Field::new("rank", DataType::Int64, false),
        Field::new("series_id", DataType::Int64, false),
        labels_field("labels"),
        Field::new("anomaly_id", DataType::Utf8, true),
        time_field("onset", false),
        Field::new("lag_ms", DataType::Int64, false),
        Field::new("strength", DataType::Float64, false),
        Field::new("reason", DataType::Utf8, false),
    ]);
    // One row per cause; the incident's own columns repeat.
    let rows: Vec<Row<'_>> = changes
        .iter()
        .flat_map(|(incident, gone)| {
            incident.causes.iter().enumerate().map(move |(rank, cause)| (incident, *gone, rank, cause))
        })
        .collect();
    let anomaly_of = |incident: &Incident, cause: &Cause| {
        let same = incident.members.iter().filter(|member| member.key == cause.key);
        same.min_by_key(|member| member.anomaly.start.abs_diff(cause.onset)).map(id_text)
    };
    let shared = |incident: &Incident| incident.shared_labels.clone();
    let shared: Vec<Vec<(String, String)>> = rows.iter().map(|(incident, ..)| shared(incident)).collect();
    let ints =
        |number: &dyn Fn(&Row<'_>) -> i64| Arc::new(rows.iter().map(|row| Some(number(row))).collect::<Int64Array>());
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|(incident, ..)| &incident.id))),
            times(rows.iter().map(|_| now)),
            Arc::new(rows.iter().map(|(_, gone, ..)| Some(*gone)).collect::<BooleanArray>()),
            times(rows.iter().map(|(incident, ..)| incident.start)),
            times(rows.iter().map(|(incident, ..)| incident.end)),
            Arc::new(rows.iter().map(|(incident, ..)| Some(incident.is_open)).collect::<BooleanArray>()),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|(incident, ..)| &incident.summary))),
            labels(shared.iter().map(|pairs| pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))),
            ints(&|(incident, ..)| incident.members.len() as i64),
            ints(&|(_, _, rank, _)| *rank as i64),
            ints(&|(.., cause)| cause.key.id()),
            labels(rows.iter().map(|(.., cause)| cause.key.labels().iter())),
            Arc::new(rows.iter().map(|(incident, _, _, cause)| anomaly_of(incident, cause)).collect::<StringArray>()),
            times(rows.iter().map(|(.., cause)| cause.onset)),
            ints(&|(.., cause)| cause.lag),
            Arc::new(rows.iter().map(|(.., cause)| Some(cause.strength)).collect::<Float64Array>()),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|(.., cause)| &cause.reason))),
        ],
    )
    .map_err(io::Error::other)
}

/// All rows of the version of an incident that was written last.
pub(super) fn identities(rows: &RecordBatch) -> io::Result<Vec<(u64, i64, i64)>> {
    let id: &StringArray = read(rows, "id")?;
    let (written, rank) = (read_times(rows, "written_at")?, read_ints(rows, "rank")?);
    Ok((0..rows.num_rows())
        .map(|idx| (xxh3_64(id.value(idx).as_bytes()), written.value(idx), rank.value(idx)))
        .collect())
}
