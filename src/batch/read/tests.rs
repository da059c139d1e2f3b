use super::frame::CSV_ROWS_TO_GUESS;
use super::*;
use crate::batch::rows::Axis;

const DAY_1: Millis = 1_704_067_200_000;

fn write(dir: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn names(rows: &Rows) -> Vec<&str> {
    rows.sources.iter().map(|source| source.name.as_str()).collect()
}

fn read_text(text: &str) -> Result<Rows, ReadError> {
    let dir = tempfile::tempdir().unwrap();
    read(&[write(&dir, "data.csv", text)])
}

#[test]
fn row_order_survives_duplicates_and_steps_back() {
    let text = "series,timestamp,value\na,2024-01-01 00:02:00,1\nb,2024-01-01 00:00:00,2\n\
                a,2024-01-01 00:01:00,\na,2024-01-01 00:01:00,4\n";
    let rows = read_text(text).unwrap();
    assert_eq!(names(&rows), ["a", "b"]);
    assert_eq!(rows.source_idx, [0, 1, 0, 0]);
    assert_eq!(rows.at, [DAY_1 + 120_000, DAY_1, DAY_1 + 60_000, DAY_1 + 60_000]);
    assert!(rows.value[0] == 1.0 && rows.value[2].is_nan() && rows.value[3] == 4.0);
}

#[test]
fn metric_and_labels_make_a_key() {
    let text = "metric,host,cpu,timestamp,value,label\nload_total,a,0,1704067200,1,0\n\
                load_total,a,1,1704067200,2,1\nup,,,1704067200,3,0\n";
    let rows = read_text(text).unwrap();
    assert_eq!(names(&rows), ["load_total{cpu=\"0\",host=\"a\"}", "load_total{cpu=\"1\",host=\"a\"}", "up"]);
    assert_eq!(rows.sources[0].kind_by(&Default::default()), crate::series::MetricKind::Counter);
    assert_eq!(rows.at, [DAY_1; 3]);
}

#[test]
fn a_file_that_is_one_series_is_called_by_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let text = "timestamp,value\n2024-01-01 00:00:00,1\n";
    write(&dir, "x/one.csv", text);
    write(&dir, "y/two.csv", text);
    let rows = read(&[dir.path().to_str().unwrap().to_owned()]).unwrap();
    assert_eq!(names(&rows), ["x/one.csv", "y/two.csv"]);
}

#[test]
fn wide_columns_are_series_and_overlapping_files_are_entities() {
    let dir = tempfile::tempdir().unwrap();
    let first = write(&dir, "m1.csv", "timestamp,cpu,mem,label\n2024-01-01,1,2,0\n2024-01-02,3,,1\n");
    let rows = read(std::slice::from_ref(&first)).unwrap();
    assert_eq!(names(&rows), ["cpu", "mem"]);
    assert_eq!(rows.source_idx, [0, 1, 0, 1]);
    assert!(rows.value[..3] == [1.0, 2.0, 3.0] && rows.value[3].is_nan());

    let later = write(&dir, "m2.csv", "timestamp,cpu\n2024-02-01,1\n");
    assert_eq!(names(&read(&[first.clone(), later]).unwrap()), ["cpu", "mem"]);
    let beside = write(&dir, "m3.csv", "timestamp,cpu\n2024-01-01,1\n");
    assert_eq!(names(&read(&[first, beside]).unwrap()), ["m1/cpu", "m1/mem", "m3/cpu"]);
}

#[test]
fn wide_tables_may_carry_labels() {
    let rows = read_text("timestamp,host,cpu\n2024-01-01,a,1\n2024-01-01,b,2\n2024-01-02,a,3\n").unwrap();
    assert_eq!(names(&rows), ["cpu{host=\"a\"}", "cpu{host=\"b\"}"]);
    assert_eq!(rows.source_idx, [0, 1, 0]);
}

#[test]
fn whole_numbers_may_count_steps() {
    let rows = read_text("series,t,value\nw,1,10\nw,2,11\n").unwrap();
    assert_eq!((rows.sources[0].axis, rows.at.as_slice()), (Axis::Steps, [3_600_000, 7_200_000].as_slice()));
}

#[test]
fn semicolons_tabs_and_late_surprises_are_read() {
    assert_eq!(read_text("timestamp;value\n2024-01-01;1.5\n").unwrap().value, [1.5]);
    assert_eq!(read_text("timestamp\tvalue\n2024-01-01\t1.5\n").unwrap().value, [1.5]);
    let mut text = "timestamp,value\n".to_owned();
    for row in 0..CSV_ROWS_TO_GUESS + 5 {
        text.push_str(&format!("{},{row}\n", 1_704_067_200 + row));
    }
    text.push_str("1804067200,0.5\n");
    assert_eq!(read_text(&text).unwrap().value.last(), Some(&0.5));
}

#[test]
fn a_matrix_has_a_row_per_timestamp() {
    let dir = tempfile::tempdir().unwrap();
    let wide = write(&dir, "wide.csv", "timestamp,a,b,label\n2024-01-01,1,2,0\n2024-01-02,3,4,1\n2024-01-02,5,6,1\n");
    let matrix = read_matrix(&[wide]).unwrap().0.remove(0);
    assert_eq!(
        (matrix.name.as_str(), matrix.columns.as_slice()),
        ("wide", ["a".to_owned(), "b".to_owned()].as_slice())
    );
    assert_eq!(matrix.values, ndarray::array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    let long = write(&dir, "long.csv", "series,timestamp,value\na,2024-01-01,1\na,2024-01-02,2\nb,2024-01-02,3\n");
    let matrix = read_matrix(&[long]).unwrap().0.remove(0);
    assert!(matrix.values[(0, 1)].is_nan() && matrix.values[(1, 1)] == 3.0 && matrix.at.len() == 2);
}

#[test]
fn files_without_rows_are_a_warning_beside_others_and_an_error_alone() {
    let dir = tempfile::tempdir().unwrap();
    let full = write(&dir, "b.csv", "timestamp,value\n2024-01-01,1\n2024-01-02,2\n");
    let (header, nothing) = (write(&dir, "a.csv", "timestamp,value\n"), write(&dir, "c.csv", ""));
    let table = super::super::Table::new()
        .with("timestamp", super::super::Column::Time(Vec::new()))
        .with("value", super::super::Column::Float(Vec::new()));
    table.write(&dir.path().join("d.parquet")).unwrap();
    let folder = dir.path().to_str().unwrap().to_owned();
    let rows = read(std::slice::from_ref(&folder)).unwrap();
    assert_eq!((names(&rows), rows.value.as_slice()), (vec!["b.csv"], [1.0, 2.0].as_slice()));
    assert_eq!(rows.warnings.len(), 3, "{:?}", rows.warnings);
    for (warning, name) in rows.warnings.iter().zip(["a.csv", "c.csv", "d.parquet"]) {
        assert!(warning.contains(name), "{warning}");
    }
    let (entities, warnings) = read_matrix(&[folder]).unwrap();
    assert_eq!((entities.len(), entities[0].name.as_str(), warnings.len()), (1, "b", 3));
    assert!(read(&[full]).unwrap().warnings.is_empty());
    assert!(matches!(read(std::slice::from_ref(&header)), Err(ReadError::NoRows { .. })));
    assert!(matches!(read(&[nothing, header]), Err(ReadError::Empty { .. })));
}

#[test]
fn wrong_tables_say_what_was_found_and_what_is_needed() {
    let error = read_text("when,amount\nnow,much\n").unwrap_err().to_string();
    assert!(error.contains("when (str)") && error.contains("needed") && error.contains("timestamp"), "{error}");
    let error = read_text("timestamp,value\n2024-01-01,1\nsoon,2\n").unwrap_err().to_string();
    assert!(error.contains("row 2") && error.contains("`soon`"), "{error}");
    let error = read_text("timestamp,value\n2024-01-01,1\n2024-01-02,many\n").unwrap_err().to_string();
    assert!(error.contains("row 2") && error.contains("`many`"), "{error}");
    let error = read_text("timestamp,cpu\n2024-01-01,1\n2024-01-02,2\n2024-01-03,err\n").unwrap_err().to_string();
    assert!(error.contains("row 3") && error.contains("`err`"), "{error}");
    let error = read_text("timestamp;value\n2024-01-01;1,5\n2024-01-02;2\n").unwrap_err().to_string();
    assert!(error.contains("row 1: `1,5`") && error.contains("decimal point"), "{error}");
    let error = read_text("timestamp,value\n1704067200,1\n1704153600000,2\n").unwrap_err().to_string();
    assert!(error.contains("`timestamp`") && error.contains("1704067200 in row 1 is in seconds"), "{error}");
    let error =
        read_text("timestamp,value\n2024-01-01,1\n2024-01-02,\"2\n\"\n2024-01-03,3,3\n").unwrap_err().to_string();
    assert!(error.contains("line 5 has 3 cells, and the header 2") && error.contains("quotes"), "{error}");
    let told_of = |text: &str| read_text(text).unwrap_err().to_string();
    let error = told_of("\n\r\ntimestamp,value\n2024-01-01,1\n2024-01-03,3,4\n");
    assert!(error.contains("line 5 has 3 cells, and the header 2"), "{error}");
    let error = told_of("timestamp,value,of\n2024-01-01,1,5\" disk\n2024-01-02,2,\"a \"\"b\"\",\"\n2024-01-03,3,c,4\n");
    assert!(error.contains("line 4 has 4 cells, and the header 3"), "{error}");
    assert!(matches!(read_text("timestamp,value\n,1\n"), Err(ReadError::NoTime { row: 1, .. })));
    assert!(matches!(read_text(""), Err(ReadError::Empty { .. })));
    assert!(matches!(read_text("timestamp,value\n"), Err(ReadError::NoRows { .. })));
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(read(&[write(&dir, "a.txt2", "x")]), Err(ReadError::Unsupported { .. })));
    assert!(matches!(read(&[write(&dir, "a.parquet", "PAR1 and no more")]), Err(ReadError::Unreadable { .. })));
}

#[test]
fn a_file_in_another_encoding_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latin1.csv");
    std::fs::write(&path, b"series,timestamp,value\na,2024-01-01,1\nk\xfcche,2024-01-01,2\n").unwrap();
    let error = read(&[path.to_str().unwrap().to_owned()]).unwrap_err().to_string();
    assert!(error.contains("latin1.csv") && error.contains("line 3 is not UTF-8"), "{error}");
}

/// Our blocks as the store writes them, with labels as a map, and as other tools might, without ids.
#[test]
fn label_maps_are_read() {
    use arrow::array::{
        ArrayRef, Float64Array, Int64Array, MapBuilder, RecordBatch, StringArray, StringBuilder,
        TimestampMillisecondArray,
    };
    use std::sync::Arc;

    let mut labels = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for host in ["a", "a", "b"] {
        labels.keys().append_value("host");
        labels.values().append_value(host);
        labels.append(true).unwrap();
    }
    let labels: ArrayRef = Arc::new(labels.finish());
    let at: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![DAY_1, DAY_1 + 1, DAY_1]).with_timezone("UTC"));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("metric", Arc::new(StringArray::from(vec!["up"; 3]))),
        ("series_id", Arc::new(Int64Array::from(vec![7, 7, -8]))),
        ("timestamp", at),
        ("value", Arc::new(Float64Array::from(vec![1.0, f64::NAN, 3.0]))),
        ("labels", labels),
    ];
    for skipped in ["", "series_id"] {
        let kept = columns.iter().filter(|(name, _)| *name != skipped).cloned();
        let batch = RecordBatch::try_from_iter(kept).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("block.parquet");
        let mut writer =
            parquet::arrow::ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let rows = read(&[path.to_str().unwrap().to_owned()]).unwrap();
        assert_eq!(names(&rows), ["up{host=\"a\"}", "up{host=\"b\"}"]);
        assert_eq!((rows.source_idx.as_slice(), rows.at[1]), ([0, 0, 1].as_slice(), DAY_1 + 1));
        assert!(rows.notes.is_empty(), "{:?}", rows.notes);
    }
}

#[test]
fn a_series_column_may_hold_selectors() {
    let rows =
        read_text("series,timestamp,value\n\"disk{host=\"\"a\"\"}\",2024-01-01,1\nplain name,2024-01-01,1\n").unwrap();
    assert_eq!(names(&rows), ["disk{host=\"a\"}", "plain name"]);
    assert_eq!(rows.sources[0].key.labels().get("host"), Some("a"));
    assert!(rows.sources[0].is_metric && !rows.sources[1].is_metric);
}
