//! DuckDB, polars and pyarrow read the blocks folder as it is, and see every sample that `select` sees, bit for bit.
//!
//! Needs the Python packages that `scripts/test.sh` installs; skips with a reason where they are missing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod python;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use barograph::series::{Batch, DAY, Key, STALE_MARKER_BITS, Sample, Selector, TimeRange};
use barograph::storage::{Store, StoreSettings};
use python::python;

/// Prints every row as a line of JSON: metric, labels, milliseconds, the value's bits, series id, date of the folder.
const READ: &str = r#"
import json, struct, sys

def with_duckdb(folder):
    import duckdb
    query = f"""select metric, labels, epoch_ms("timestamp"), value, series_id, cast(date as varchar)
                from read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"""
    return duckdb.connect().execute(query).fetchall()

def with_polars(folder):
    import polars as pl
    frame = pl.scan_parquet(f"{folder}/**/*.parquet", hive_partitioning=True)
    return frame.select("metric", "labels", pl.col("timestamp").dt.epoch("ms"), "value", "series_id", "date").collect().rows()

def with_pyarrow(folder):
    import pyarrow as pa, pyarrow.dataset as ds
    table = ds.dataset(folder, partitioning="hive").to_table()
    assert table.schema.field("timestamp").type == pa.timestamp("ms", tz="UTC"), table.schema
    assert table.schema.field("metric").type == pa.string(), table.schema
    columns = [table[name].cast(pa.int64()) if name == "timestamp" else table[name]
               for name in ("metric", "labels", "timestamp", "value", "series_id", "date")]
    return list(zip(*(column.to_pylist() for column in columns)))

def as_dict(labels):
    if isinstance(labels, dict):
        return labels
    return dict((pair["key"], pair["value"]) if isinstance(pair, dict) else pair for pair in labels)

rows = {"duckdb": with_duckdb, "polars": with_polars, "pyarrow": with_pyarrow}[sys.argv[1]](sys.argv[2])
for metric, labels, at, value, series_id, date in rows:
    bits = struct.unpack("<Q", struct.pack("<d", value))[0]
    print(json.dumps([metric, as_dict(labels), at, format(bits, "016x"), series_id, str(date)]))
"#;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    metric: String,
    labels: BTreeMap<String, String>,
    at: i64,
    bits: String,
    series_id: i64,
    date: String,
}

fn write_samples(dir: &Path) -> Store {
    let store = Store::open(dir, StoreSettings { max_blocks_per_day: 2, ..StoreSettings::default() }).unwrap();
    let key = |metric: &str, pairs: &[(&str, &str)]| Key::from_pairs(metric, pairs).unwrap();
    let keys = [
        key("disk_used_bytes", &[("host", "web-1"), ("mount", "/")]),
        key("disk_used_bytes", &[("host", "web-2"), ("mount", "/var \"log\"")]),
        key("température", &[("salle", "é\u{1f321}"), ("a.b", "c")]),
        key("up", &[]),
    ];
    let odd = [f64::NAN, f64::from_bits(STALE_MARKER_BITS), f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e-300];
    let start = 1_700_000_000_000 - 1_700_000_000_000 % DAY;
    // Four flushes, of which three at least are of one day and are merged.
    for round in 0..4 {
        let rows = (0..400_i64).flat_map(|step| {
            keys.iter().enumerate().map(move |(idx, key)| {
                let at = start + (round * 400 + step) * 60_000 + idx as i64;
                let value = match (step % 50, idx) {
                    (7, _) => odd[(step / 50) as usize % odd.len()],
                    (_, 0) => (step * step) as f64 / 7.0,
                    (_, idx) => idx as f64,
                };
                (key.clone(), Sample { at, value })
            })
        });
        store.append(&Batch::from_samples(rows.collect::<Vec<_>>())).unwrap();
        store.flush().unwrap();
    }
    // Before the epoch, and far in the future.
    let rows = [-5 * DAY, 4_000_000_000_000].map(|at| (keys[3].clone(), Sample { at, value: 1.0 }));
    store.append(&Batch::from_samples(rows)).unwrap();
    store.flush().unwrap();
    store.compact().unwrap();
    store
}

fn selected(store: &Store) -> Vec<Row> {
    let mut rows = Vec::new();
    for series in store.select(&Selector::all(), TimeRange::ALL).unwrap() {
        let labels = series.key.labels().without_metric();
        let labels: BTreeMap<String, String> =
            labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        rows.extend(series.samples.iter().map(|sample| Row {
            metric: series.key.metric().to_owned(),
            labels: labels.clone(),
            at: sample.at,
            bits: format!("{:016x}", sample.value.to_bits()),
            series_id: series.key.id(),
            date: chrono::DateTime::from_timestamp_millis(sample.at).unwrap().format("%Y-%m-%d").to_string(),
        }));
    }
    rows.sort();
    rows
}

fn read_with(python: &Path, reader: &str, blocks: &Path) -> Vec<Row> {
    let output = Command::new(python).args(["-c", READ, reader]).arg(blocks).output().unwrap();
    assert!(output.status.success(), "{reader}: {}", String::from_utf8_lossy(&output.stderr));
    let mut rows: Vec<Row> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let (metric, labels, at, bits, series_id, date) = serde_json::from_str(line).unwrap();
            Row { metric, labels, at, bits, series_id, date }
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn duckdb_polars_and_pyarrow_read_the_blocks_folder() {
    let modules = "duckdb, polars, pyarrow.dataset";
    let Some(python) = python(modules, "duckdb_polars_and_pyarrow_read_the_blocks_folder") else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = write_samples(dir.path());
    let expected = selected(&store);
    assert_eq!(expected.len(), 4 * 400 * 4 + 2);
    assert!(store.figures().n_compactions > 0 && store.figures().n_blocks >= 3);
    for reader in ["duckdb", "polars", "pyarrow"] {
        check_rows(reader, &read_with(&python, reader, &dir.path().join("blocks")), &expected);
    }
    let snapshot = store.snapshot().unwrap();
    check_rows("the snapshot", &read_with(&python, "duckdb", &snapshot.path.join("blocks")), &expected);
}

fn check_rows(what: &str, rows: &[Row], expected: &[Row]) {
    assert_eq!(rows.len(), expected.len(), "{what}");
    for (row, expected) in rows.iter().zip(expected) {
        // The folder is that of the block's first day, and a block spans 30 days at most.
        let day = |date: &str| date.parse::<chrono::NaiveDate>().unwrap();
        let n_days = (day(&expected.date) - day(&row.date)).num_days();
        assert!((0..30).contains(&n_days), "{what}: {row:?} of {expected:?}");
        assert_eq!(&Row { date: expected.date.clone(), ..row.clone() }, expected, "{what}");
    }
}

#[test]
fn duckdb_polars_and_pyarrow_read_a_tier() {
    let modules = "duckdb, polars, pyarrow.dataset";
    let Some(python) = python(modules, "duckdb_polars_and_pyarrow_read_a_tier") else { return };
    let dir = tempfile::tempdir().unwrap();
    // Old blocks are retired, and their tier is made before.
    let settings =
        StoreSettings { retention: Some(10 * DAY), retention_1h: Some(1_000 * DAY), ..StoreSettings::default() };
    let store = Store::open(dir.path(), settings).unwrap();
    let key = Key::from_pairs("up", &[("host", "a")]).unwrap();
    let times = (0..240).map(|n| n * 60_000).chain([100 * DAY]);
    store
        .append(&Batch::from_samples(times.map(|at| (key.clone(), Sample { at, value: (at / 60_000) as f64 }))))
        .unwrap();
    store.flush().unwrap();
    let folder = dir.path().join("tiers/1h");
    for _ in 0..500 {
        if store.figures().n_blocks == 1 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let script = r#"
import sys, glob
import duckdb, polars as pl, pyarrow.dataset as ds
folder = sys.argv[1]
names = ["metric", "min", "max", "sum", "count", "last"]
a = duckdb.connect().execute(f"select {', '.join(names)} from read_parquet('{folder}/**/*.parquet', hive_partitioning = true) order by timestamp").fetchall()
b = pl.scan_parquet(f"{folder}/**/*.parquet", hive_partitioning=True).sort("timestamp").select(names).collect().rows()
c = [tuple(row[name] for name in names) for row in ds.dataset(folder, partitioning="hive").to_table().sort_by("timestamp").to_pylist()]
assert a == b == c, (a, b, c)
for row in a:
    print(*row)
"#;
    let output = Command::new(&python).args(["-c", script]).arg(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let hours = ["up 0.0 59.0 1770.0 60 59.0", "up 60.0 119.0 5370.0 60 119.0"];
    assert_eq!((lines.len(), &lines[..2]), (4, &hours[..]), "{text}");
}
