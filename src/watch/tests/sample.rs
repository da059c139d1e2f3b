//! The generated sample history: is everything in it told, and soon?

use super::*;

/// The generated sample history, as the demo replays it.
fn sample_history() -> Vec<crate::series::Series> {
    use arrow::array::AsArray;
    use arrow::compute::cast;
    use arrow::datatypes::{DataType, Float64Type, Int64Type};

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/generated.parquet");
    let mut samples = Vec::new();
    for rows in results::read_parquet(&path).unwrap() {
        let int = |name: &str| cast(rows.column_by_name(name).unwrap(), &DataType::Int64).unwrap();
        let (at, value) = (int("timestamp"), rows.column_by_name("value").unwrap());
        let texts: Vec<_> = rows
            .schema()
            .fields()
            .iter()
            .zip(rows.columns())
            .filter(|(field, _)| !["timestamp", "value", "metric"].contains(&field.name().as_str()))
            .map(|(field, column)| (field.name().clone(), cast(column, &DataType::Utf8).unwrap()))
            .collect();
        let metric = cast(rows.column_by_name("metric").unwrap(), &DataType::Utf8).unwrap();
        let mut known = hashbrown::HashMap::new();
        for idx in 0..rows.num_rows() {
            let labels: Vec<(&str, &str)> = texts
                .iter()
                .filter(|(_, column)| !arrow::array::Array::is_null(column.as_ref(), idx))
                .map(|(name, column)| (name.as_str(), column.as_string::<i32>().value(idx)))
                .collect();
            let metric = metric.as_string::<i32>().value(idx);
            let key = known
                .entry((metric, labels))
                .or_insert_with_key(|(metric, labels)| Key::from_pairs(metric, labels).unwrap())
                .clone();
            let at = at.as_primitive::<Int64Type>().value(idx);
            samples.push((key, Sample { at, value: value.as_primitive::<Float64Type>().value(idx) }));
        }
    }
    scoring::by_series([&Batch::from_samples(samples)])
}

#[test]
fn the_sample_history_is_told_within_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let watch = bench.watch(settings());
    wait_for("backfill", || watch.figures().is_backfilled);
    let began = Instant::now();
    let series = sample_history();
    let n: usize = series.iter().map(|one| one.samples.len()).sum();
    for one in &series {
        watch.observe(bench.record(&one.key, &one.samples));
    }
    watch.stop();
    println!("{} series, {n} samples: {:?}, {:?}", series.len(), began.elapsed(), watch.figures());
    // The incident of the second Friday: the pool, the queue, and the services behind them.
    let friday = 1_794_579_600_000;
    let around = TimeRange::new(friday - 10 * MINUTE, friday + 50 * MINUTE).unwrap();
    let told = watch.anomalies(&Selector::all(), around, 0.0);
    for member in &told {
        println!("{:?} {} {}", member.anomaly.start, member.key, member.anomaly.explanation);
    }
    let began_then = |metric: &str| {
        told.iter().any(|member| member.key.metric() == metric && (member.anomaly.start - friday).abs() < 20 * MINUTE)
    };
    assert!(began_then("db_connections_active") && began_then("queue_depth") && began_then("http_error_ratio"));
    for incident in watch.incidents(TimeRange::ALL) {
        println!("{} {} members: {}", incident.start, incident.members.len(), incident.summary);
    }
    assert!(watch.incidents(around).iter().any(|incident| incident.members.len() >= 2));
    let began = Instant::now();
    let fleet = watch.capacity(None, None, 180 * DAY, &PlannedEvents::none()).unwrap().series;
    println!("fleet of {} in {:?}", fleet.len(), began.elapsed());
    for (key, answer) in &fleet {
        println!("{key} [{}] {}", answer.method, answer.recommendation);
    }
    let answer = |metric: &str, host: &str| {
        let is_it = |key: &Key| key.metric() == metric && key.labels().get("host") == Some(host);
        &fleet.iter().find(|(key, _)| is_it(key)).unwrap().1
    };
    // As data/truth.json says.
    let saw = answer("node_filesystem_avail_bytes", "web-1");
    assert_eq!(saw.exhaustion, Exhaustion::NotGrowing, "{saw:?}");
    let filling = answer("node_filesystem_avail_bytes", "db-1");
    let Exhaustion::Expected { p10: Some(p10), p50: Some(p50), p90: Some(p90) } = filling.exhaustion else {
        panic!("{filling:?}")
    };
    let (truth, now) = (1_795_749_300_000i64, 1_794_787_200_000i64);
    assert!((p50 - truth).abs() < (truth - now) / 20, "{} h of {}", (p50 - now) / HOUR, (truth - now) / HOUR);
    assert!((p10 - HOUR..=p90 + HOUR).contains(&truth), "{filling:?}");
    for (metric, label, limit, truth) in [
        ("process_resident_memory_bytes", ("service", "orders"), 4_294_967_296.0, 1_795_096_399_808i64),
        ("disk_used_bytes", ("host", "db-2"), 214_748_364_800.0, 1_796_745_600_000),
    ] {
        let mut selector = Selector::metric(metric);
        selector.matchers.push(crate::series::Matcher::new(label.0, crate::series::MatchOp::Equal, label.1).unwrap());
        let answers = watch
            .capacity(Some(&selector), Some(Limit { value: limit, side: Side::Up }), 180 * DAY, &PlannedEvents::none())
            .unwrap()
            .series;
        let Exhaustion::Expected { p50: Some(p50), .. } = answers[0].1.exhaustion else { panic!("{answers:?}") };
        let off = (p50 - truth).abs() as f64 / (truth - now) as f64;
        assert!(off < 0.15, "{metric}: {off} of {} h: {}", (truth - now) / HOUR, answers[0].1.recommendation);
    }
}
