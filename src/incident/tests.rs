use super::closeness::{Numbering, TOLERANCE, distance, overlap};
use super::*;
use crate::detect::{Anomaly, Kind};
use crate::series::{HOUR, Key, MINUTE, Millis, SECOND, Step};

fn member(metric: &str, labels: &[(&str, &str)], start: Millis, score: f64) -> Member {
    let anomaly = Anomaly {
        start,
        end: start + MINUTE,
        is_open: false,
        peak_at: start,
        score,
        value: 1.0,
        expected: Some(0.0),
        lower: None,
        upper: None,
        kind: Kind::Spike,
        detector: "auto".into(),
        explanation: "1 is 1 above the expected 0".into(),
    };
    Member { key: Key::from_pairs(metric, labels).unwrap(), anomaly }
}

fn names(incidents: &[Incident]) -> Vec<Vec<String>> {
    incidents.iter().map(|i| i.members.iter().map(|m| m.key.to_string()).collect()).collect()
}

fn found(members: &[Member]) -> Vec<Vec<String>> {
    names(&group(members, &GroupSettings::default()))
}

#[test]
fn the_distance_is_the_stated_one() {
    let mut numbering = Numbering::default();
    let mut point = |metric: &str, labels: &[(&str, &str)], onset| {
        numbering.point(&Key::from_pairs(metric, labels).unwrap(), onset)
    };
    let cpu = point("cpu", &[("host", "a"), ("job", "node")], 0);
    let memory = point("memory", &[("host", "a"), ("job", "node")], 5 * MINUTE);
    let elsewhere = point("cpu", &[("host", "b"), ("job", "node")], 0);
    let stranger = point("queue", &[("pool", "x")], 0);
    let reach = 10 * MINUTE;
    assert_eq!(overlap(&cpu, &cpu), 1.0);
    // Two common labels of two, and two metric names that weigh half each.
    assert!((overlap(&cpu, &memory) - 2.0 / 3.0).abs() < 1e-12);
    assert!((distance(&cpu, &memory, reach) - (0.4 * 0.5 + 0.6 / 3.0)).abs() < 1e-12);
    assert!((overlap(&cpu, &elsewhere) - 1.5 / 3.5).abs() < 1e-12);
    assert_eq!(distance(&cpu, &stranger, reach), 1.0);
    assert_eq!(distance(&cpu, &point("cpu", &[("host", "a"), ("job", "node")], reach + 1), reach), 1.0);
    assert!(distance(&cpu, &memory, reach) < TOLERANCE);
}

#[test]
fn one_host_in_trouble_is_one_incident_with_the_first_and_strongest_as_its_cause() {
    let host = [("host", "db1"), ("job", "node")];
    let members = [
        member("disk_latency", &host, 10 * MINUTE, 9.0),
        member("cpu_iowait", &host, 10 * MINUTE + 40 * SECOND, 4.0),
        member("queries_slow", &host, 12 * MINUTE, 3.0),
        // Another host with another trouble at the same time.
        member("http_errors", &[("host", "web7"), ("service", "shop")], 10 * MINUTE, 5.0),
    ];
    let incidents = group(&members, &GroupSettings::default());
    assert_eq!(incidents.len(), 1);
    let incident = &incidents[0];
    assert_eq!((incident.start, incident.end), (10 * MINUTE, 13 * MINUTE));
    let shared: Vec<String> = incident.shared_labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(shared, ["host=db1", "job=node"]);
    let causes: Vec<(&str, Millis)> = incident.causes.iter().map(|c| (c.key.metric(), c.lag)).collect();
    assert_eq!(causes, [("disk_latency", 0), ("cpu_iowait", 40 * SECOND), ("queries_slow", 2 * MINUTE)]);
    assert!(incident.causes.iter().all(|cause| (0.0..=1.0).contains(&cause.strength)));
    let expected = "3 series odd together at host=db1, job=node, over 3m; likely started by \
                    disk_latency{host=\"db1\",job=\"node\"} (spike), with cpu_iowait{host=\"db1\",job=\"node\"} 40s later";
    assert_eq!(incident.summary, expected);
}

#[test]
fn a_strong_effect_can_outrank_a_weak_first_sign_but_not_a_strong_one() {
    let host = [("host", "a")];
    let ranked = |first: f64, second: f64| {
        let members = [member("first", &host, 0, first), member("second", &host, MINUTE, second)];
        group(&members, &GroupSettings::default())[0].causes[0].key.metric().to_owned()
    };
    assert_eq!(ranked(1.1, 50.0), "second");
    assert_eq!(ranked(5.0, 8.0), "first");
}

#[test]
fn far_in_time_or_without_a_common_label_they_stay_apart() {
    let host = [("host", "a")];
    assert!(found(&[member("cpu", &host, 0, 2.0), member("memory", &host, HOUR, 2.0)]).is_empty());
    assert!(found(&[member("cpu", &host, 0, 2.0), member("disk", &[("host", "b")], 0, 2.0)]).is_empty());
    let two = found(&[
        member("cpu", &host, 0, 2.0),
        member("memory", &host, MINUTE, 2.0),
        member("cpu", &[("host", "b")], MINUTE, 2.0),
        member("memory", &[("host", "b")], 2 * MINUTE, 2.0),
    ]);
    assert_eq!(two, [["cpu{host=\"a\"}", "memory{host=\"a\"}"], ["cpu{host=\"b\"}", "memory{host=\"b\"}"]]);
}

#[test]
fn one_anomaly_is_an_incident_only_when_asked_for() {
    let alone = [member("cpu", &[("host", "a")], 0, 2.0)];
    assert!(found(&alone).is_empty());
    let settings = GroupSettings { min_members: 1, ..GroupSettings::default() };
    let incidents = group(&alone, &settings);
    assert_eq!(
        incidents[0].summary,
        "1 anomaly at host=a, __name__=cpu, over 1m; likely started by cpu{host=\"a\"} (spike)"
    );
    assert!(group(&[], &settings).is_empty());
}

#[test]
fn the_order_of_arrival_does_not_matter_and_the_id_stays_as_it_grows() {
    let host = [("host", "a")];
    let mut members = vec![member("cpu", &host, 0, 2.0), member("memory", &host, MINUTE, 2.0)];
    let early = group(&members, &GroupSettings::default());
    members.push(member("disk", &host, 2 * MINUTE, 9.0));
    let grown = group(&members, &GroupSettings::default());
    members.reverse();
    assert_eq!(group(&members, &GroupSettings::default()), grown);
    assert_eq!(early[0].id, grown[0].id);
    assert_eq!(grown[0].members.len(), 3);
    assert_eq!(early[0].id.len(), 16);
}

#[test]
fn coarse_steps_reach_further() {
    let host = [("host", "a")];
    let members = [member("cpu", &host, 0, 2.0), member("memory", &host, HOUR, 2.0)];
    assert_eq!(group(&members, &GroupSettings::for_step(Step::seconds(3600))).len(), 1);
    assert_eq!(GroupSettings::for_step(Step::seconds(60)), GroupSettings::default());
}

#[test]
fn a_member_that_is_still_open_keeps_the_incident_open() {
    let host = [("host", "a")];
    let mut members = [member("cpu", &host, 0, 2.0), member("memory", &host, 0, 2.0)];
    assert!(!group(&members, &GroupSettings::default())[0].is_open);
    members[1].anomaly.is_open = true;
    assert!(group(&members, &GroupSettings::default())[0].is_open);
}

#[test]
fn a_storm_of_thousands_is_grouped_at_once() {
    // Fifty racks of ten hosts lose power within two minutes; ten metrics of each host notice.
    let mut members = Vec::new();
    for idx in 0..5_000_i64 {
        let (metric, host, rack) = (idx % 10, idx / 10, idx / 100);
        let labels = [("host", format!("h{host}")), ("rack", format!("r{rack}"))];
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        members.push(member(&format!("metric{metric}"), &labels, (idx * 7919) % (2 * MINUTE), 2.0));
    }
    let started = std::time::Instant::now();
    let incidents = group(&members, &GroupSettings::default());
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    assert_eq!(incidents.iter().map(|incident| incident.members.len()).sum::<usize>(), 5_000);
    assert!((50..=100).contains(&incidents.len()), "{}", incidents.len());
    for incident in &incidents {
        assert!(incident.shared_labels.iter().any(|(name, _)| name == "rack"), "{}", incident.summary);
    }
}
