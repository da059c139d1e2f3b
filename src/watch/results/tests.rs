//! What is written reads back; of several versions the last counts.

use super::*;
use crate::detect::{Anomaly, Kind as AnomalyKind};
use crate::forecast::{Band, Coverage, Direction, Facts, Forecast, Heading};
use crate::incident::{Cause, Incident, Member};
use crate::series::{HOUR, Key, Step};
use crate::watch::anomalies::anomaly_id;

const START: Millis = 1_760_000_000_000;

fn member(host: &str, start: Millis, score: f64) -> Member {
    let anomaly = Anomaly {
        start,
        end: start + 60_000,
        is_open: true,
        peak_at: start,
        score,
        value: 5.0,
        expected: Some(1.0),
        lower: None,
        upper: Some(2.0),
        kind: AnomalyKind::Spike,
        detector: "auto".to_owned(),
        explanation: "five instead of one".to_owned(),
    };
    Member { key: Key::from_pairs("load", &[("host", host)]).unwrap(), anomaly }
}

fn rows_of(members: &[Member], now: Millis) -> RecordBatch {
    let changes: Vec<_> =
        members.iter().map(|member| (anomaly_id(&member.key, member.anomaly.start), member.clone())).collect();
    anomaly_rows(&changes, now).unwrap()
}

fn read_anomalies(results: &Results) -> Vec<Member> {
    let days = results.read(Kind::Anomalies, START - DAY).unwrap();
    days.iter().flat_map(|rows| anomalies_of(rows).unwrap()).collect()
}

#[test]
fn anomalies_read_back_as_they_were_written_last() {
    let dir = tempfile::tempdir().unwrap();
    let results = Results::open(dir.path()).unwrap();
    let (a, b) = (member("a", START, 2.0), member("b", START + DAY, 3.0));
    results.write(Kind::Anomalies, START, &rows_of(std::slice::from_ref(&a), START)).unwrap();
    results.write(Kind::Anomalies, START + DAY, &rows_of(std::slice::from_ref(&b), START)).unwrap();
    assert_eq!(read_anomalies(&results), [a.clone(), b.clone()]);
    let mut grown = a;
    (grown.anomaly.score, grown.anomaly.is_open) = (4.0, false);
    results.write(Kind::Anomalies, START, &rows_of(std::slice::from_ref(&grown), START + 1)).unwrap();
    assert_eq!(read_anomalies(&results), [grown, b]);
}

/// What an older version wrote has fewer columns, or others: none of it is lost by a merge.
#[test]
fn a_merge_keeps_rows_of_other_columns() {
    let dir = tempfile::tempdir().unwrap();
    let results = Results::open(dir.path()).unwrap();
    let old = rows_of(&[member("old", START, 2.0)], START);
    let schema = old.schema();
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    // Without a column that may be null, and without one that must not.
    let without = |name: &str| {
        let kept: Vec<usize> = all.iter().copied().filter(|idx| schema.field(*idx).name() != name).collect();
        old.project(&kept).unwrap()
    };
    let needed = schema.fields().iter().find(|field| field.name() == "score").unwrap();
    let spare = schema.fields().iter().find(|field| field.is_nullable()).unwrap();
    assert!(!needed.is_nullable());
    let foreign = without(needed.name());
    results.write(Kind::Anomalies, START, &foreign).unwrap();
    results.write(Kind::Anomalies, START, &without(spare.name())).unwrap();
    for i in 0..30 {
        results.write(Kind::Anomalies, START, &rows_of(&[member("a", START, f64::from(i))], START + 1)).unwrap();
    }
    let hosts: Vec<_> = read_anomalies(&results).into_iter().map(|member| member.key).collect();
    assert_eq!(hosts.len(), 2, "{hosts:?}");
    let (_, folder) = results.days(Kind::Anomalies).unwrap().pop_first().unwrap();
    let files = parquet_files(&folder).unwrap();
    assert!(files.len() <= MAX_FILES + 1, "{files:?}");
    let rows: Vec<RecordBatch> = files.iter().flat_map(|file| read_parquet(file).unwrap()).collect();
    assert!(rows.iter().any(|rows| rows.schema() == foreign.schema()), "the file stays");
}

#[test]
fn a_day_of_many_files_is_merged() {
    let dir = tempfile::tempdir().unwrap();
    let results = Results::open(dir.path()).unwrap();
    for i in 0..30 {
        let members = [member("a", START, i as f64), member(&format!("b{i}"), START + i, 1.0)];
        results.write(Kind::Anomalies, START, &rows_of(&members, START + i)).unwrap();
    }
    let folder = dir.path().join("results/anomalies").join(format!("date={}", date_of(START)));
    assert!(parquet_files(&folder).unwrap().len() <= MAX_FILES);
    let read = read_anomalies(&results);
    assert_eq!(read.len(), 31);
    assert_eq!(read.iter().find(|member| member.key.labels().get("host") == Some("a")).unwrap().anomaly.score, 29.0);
}

#[test]
fn a_broken_file_does_not_hide_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let results = Results::open(dir.path()).unwrap();
    let a = member("a", START, 2.0);
    results.write(Kind::Anomalies, START, &rows_of(std::slice::from_ref(&a), START)).unwrap();
    let folder = dir.path().join("results/anomalies").join(format!("date={}", date_of(START)));
    fs::write(folder.join("broken.parquet"), b"PAR1 not really").unwrap();
    assert_eq!(read_anomalies(&results), [a]);
}

#[test]
fn old_days_are_retired() {
    let dir = tempfile::tempdir().unwrap();
    let results = Results::open(dir.path()).unwrap();
    for at in [START - 10 * DAY, START] {
        results.write(Kind::Anomalies, at, &rows_of(&[member("a", at, 2.0)], at)).unwrap();
    }
    results.retire(START - DAY).unwrap();
    let left: Vec<String> = results.days(Kind::Anomalies).unwrap().into_keys().collect();
    assert_eq!(left, [format!("date={}", date_of(START))]);
}

#[test]
fn incidents_have_a_row_per_cause_and_forecasts_one_per_target() {
    let dir = tempfile::tempdir().unwrap();
    let results = Results::open(dir.path()).unwrap();
    let members = vec![member("a", START, 2.0), member("b", START + 1000, 3.0)];
    let cause = |member: &Member, lag| Cause {
        key: member.key.clone(),
        onset: member.anomaly.start,
        lag,
        strength: 0.5,
        reason: "it was first".to_owned(),
    };
    let incident = Incident {
        id: "x".to_owned(),
        start: START,
        end: START + HOUR,
        is_open: false,
        shared_labels: vec![("job".to_owned(), "shop".to_owned())],
        causes: vec![cause(&members[0], 0), cause(&members[1], 1000)],
        members,
        summary: "two".to_owned(),
    };
    for at in [START, START + 1] {
        results.write(Kind::Incidents, START, &incident_rows(&[(incident.clone(), false)], at).unwrap()).unwrap();
    }
    assert_eq!(results.read(Kind::Incidents, START).unwrap()[0].num_rows(), 2);

    let forecast = Forecast {
        events: Vec::new(),
        influences: Vec::new(),
        start: START,
        step: Step::seconds(60),
        calendar: None,
        points: vec![1.0, 2.0, 3.0],
        band: Some(Band { coverage: Coverage::P95, lower: vec![0.0; 3], upper: vec![9.0; 3] }),
        band_reason: None,
        facts: Facts::default(),
        last_seen: START,
        direction: Direction { heading: Heading::Flat, slope_per_step: 0.0, p_value: 1.0 },
        model: "naive".to_owned(),
        fallback: None,
        settings: BTreeMap::new(),
        accuracy: None,
        season: None,
    };
    let kept = KeptForecast { key: Key::from_pairs("load", &[]).unwrap(), issued_at: START - 1000, forecast };
    results.write(Kind::Forecasts, START, &forecast_rows(&[kept.clone(), kept]).unwrap()).unwrap();
    assert_eq!(results.read(Kind::Forecasts, START).unwrap()[0].num_rows(), 3);
}

#[test]
fn absurd_instants_have_a_day() {
    for at in [Millis::MIN, -1, 0, Millis::MAX] {
        assert_eq!(date_of(at).len(), 10, "{at}");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scored.parquet");
    assert!(read_scored(&path).unwrap().is_empty());
    write_parquet(&path, &scored_rows(&[(1, START), (-7, 3)]).unwrap()).unwrap();
    assert_eq!(read_scored(&path).unwrap()[&-7], 3);
}
