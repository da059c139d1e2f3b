use super::closeness::{TOLERANCE, distance};
use super::evidence::{NEUTRAL, Numbering, weigh};
use super::habits::Habits;
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
    let node = |host| [("host", host), ("job", "node")];
    let (reach, habits) = (10 * MINUTE, Habits::default());
    let first = point("cpu", &node("a"), 0);
    let far = |other: &evidence::Point| distance(&first, other, reach, &habits);
    // The same host and job, half the reach later.
    let memory = point("memory", &node("a"), 5 * MINUTE);
    assert!((far(&memory) - (0.4 * 0.5 + 0.6 * 0.5 / 2.5)).abs() < 1e-12);
    assert_eq!(far(&point("cpu", &node("a"), reach + 1)), 1.0);
    // Nothing to compare is neither for nor against, however many labels there are.
    for labels in [&[][..], &[("service", "shop")], &[("service", "shop"), ("route", "/")]] {
        assert_eq!(weigh(&first, &point("errors", labels, 0)).doubt, NEUTRAL);
    }
    // Another host is against, at any time, but for the same metric of the same job.
    assert!(far(&point("memory", &node("b"), 0)) > TOLERANCE);
    assert!(far(&point("cpu", &[("host", "b")], 0)) > TOLERANCE);
    assert!((far(&point("cpu", &node("b"), 0)) - 0.6 * 3.0 / 4.5).abs() < 1e-12);
    // What names a place is told by its words; another part of the system says little.
    let pods = ["x", "y"].map(|pod| point("errors", &[("k8s_pod_name", pod), ("service", "s")], 0));
    assert!((weigh(&pods[0], &pods[1]).doubt - 3.0 / 4.5).abs() < 1e-12);
    let services = ["x", "y"].map(|service| point("errors", &[("service", service), ("zone", "z")], 0));
    assert!((weigh(&services[0], &services[1]).doubt - 0.75 / 1.75).abs() < 1e-12);
}

#[test]
fn the_distance_is_symmetric_and_between_zero_and_one() {
    let mut numbering = Numbering::default();
    let values = ["a", "b"];
    let names = ["host", "rack", "service", "job", "route", "method", "status"];
    let mut habits = Habits::default();
    let points: Vec<_> = (0..400_usize)
        .map(|idx| {
            let has = |nth: usize| ((idx * 2_654_435_761) >> (2 * nth)) % 4;
            let labels: Vec<(&str, &str)> = names
                .iter()
                .enumerate()
                .filter(|(nth, _)| has(*nth) > 1)
                .map(|(nth, name)| (*name, values[has(nth) % 2]))
                .collect();
            numbering.point(&Key::from_pairs(["m", "n"][idx % 2], &labels).unwrap(), idx as Millis * 2 * SECOND)
        })
        .collect();
    habits.note(&points, MINUTE);
    points.chunks(40).for_each(|chunk| habits.learn(chunk, 10 * MINUTE));
    for a in &points {
        for b in &points {
            let there = distance(a, b, 10 * MINUTE, &habits);
            assert!((0.0..=1.0).contains(&there));
            assert_eq!(there, distance(b, a, 10 * MINUTE, &habits));
        }
    }
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
fn far_in_time_or_on_another_host_they_stay_apart() {
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

// --- Topologies of other shapes than the sample's ---

#[test]
fn a_disk_a_database_and_the_services_that_wait_for_it_are_one_incident() {
    let database = [("instance", "db-7:9100"), ("job", "node")];
    let members = [
        member("node_disk_io_time_seconds", &[&database[..], &[("device", "sda")]].concat(), 0, 7.0),
        member("pg_locks_count", &[("instance", "db-7:9100"), ("datname", "shop")], MINUTE, 4.0),
        member("http_latency_seconds", &[("service", "cart"), ("route", "/add")], 3 * MINUTE, 6.0),
        member("http_errors", &[("service", "cart"), ("route", "/add")], 3 * MINUTE, 3.0),
        member("http_latency_seconds", &[("service", "search"), ("route", "/")], 5 * MINUTE, 5.0),
        member("queue_length", &[("topic", "mails")], 7 * MINUTE, 2.0),
        // Somebody else's trouble, further in time from the services than the database's.
        member("node_memory_used_bytes", &[("instance", "build-2:9100"), ("job", "node")], 0, 5.0),
    ];
    let incidents = group(&members, &GroupSettings::default());
    assert_eq!(incidents.iter().map(|incident| incident.members.len()).collect::<Vec<_>>(), [6]);
    assert_eq!(incidents[0].causes[0].key.metric(), "node_disk_io_time_seconds");
}

#[test]
fn a_bad_release_on_every_pod_is_one_incident_beside_another_pods_own() {
    let mut members = Vec::new();
    for pod in 0..12_i64 {
        let pod_name = format!("checkout-{pod}");
        let labels = [("cluster", "eu"), ("pod", pod_name.as_str()), ("service", "checkout")];
        members.push(member("http_errors", &labels, pod * 10 * SECOND, 5.0));
        members.push(member("http_latency_seconds", &labels, pod * 10 * SECOND + 20 * SECOND, 4.0));
    }
    let other = [("cluster", "eu"), ("pod", "mail-0"), ("service", "mail")];
    members.push(member("memory_bytes", &other, 30 * SECOND, 5.0));
    members.push(member("restarts", &other, 60 * SECOND, 5.0));
    let sizes: Vec<usize> = group(&members, &GroupSettings::default()).iter().map(|it| it.members.len()).collect();
    assert_eq!(sizes, [24, 2]);
}

#[test]
fn what_names_no_place_does_not_bridge_two_places() {
    let (a, b) = ([("instance", "a"), ("job", "node")], [("instance", "b"), ("job", "node")]);
    let members = [
        member("cpu", &a, 0, 5.0),
        member("memory", &a, 10 * SECOND, 5.0),
        member("disk", &b, 5 * SECOND, 5.0),
        member("network", &b, 40 * SECOND, 5.0),
        // As close to one as to the other, but for some seconds.
        member("requests", &[("service", "shop")], 35 * SECOND, 5.0),
    ];
    let incidents = found(&members);
    assert_eq!(incidents.iter().map(Vec::len).collect::<Vec<_>>(), [2, 3]);
    assert!(incidents[1].contains(&"requests{service=\"shop\"}".to_owned()));
}

#[test]
fn two_instances_that_keep_alarming_together_become_one_incident() {
    let (a, b) = ([("instance", "pg:5432")], [("instance", "app:8080")]);
    let mut members = Vec::new();
    for time in 0..6 {
        members.push(member("locks", &a, time * HOUR, 5.0));
        members.push(member("latency", &b, time * HOUR + MINUTE, 5.0));
    }
    let incidents = group(&members, &GroupSettings::default());
    assert_eq!(incidents.iter().map(|it| it.start / HOUR).collect::<Vec<_>>(), [3, 4, 5]);
    // What was learned from all of them serves what comes later.
    assert_eq!(group_after(&members[..10], &members[10..], &GroupSettings::default()), incidents[2..]);
    assert!(group(&members[10..], &GroupSettings::default()).is_empty());
}

#[test]
fn a_fleet_in_which_something_always_fails_is_not_one_incident() {
    // Every 90 seconds on average one of 200 services has a fault of its own, told by two metrics.
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut members = Vec::new();
    let n_faults = 960;
    for _ in 0..n_faults {
        let at = random(86_400) as Millis * SECOND;
        let service = format!("s{}", random(200));
        members.push(member("http_latency_seconds", &[("service", &service)], at, 3.0));
        members.push(member("http_errors", &[("service", &service)], at + 20 * SECOND, 3.0));
    }
    let late: Vec<Incident> =
        group(&members, &GroupSettings::default()).into_iter().filter(|it| it.start > 3 * HOUR).collect();
    let largest = late.iter().map(|incident| incident.causes.len() / 2).max().unwrap();
    let mean = late.iter().map(|incident| incident.causes.len()).sum::<usize>() as f64 / (2 * late.len()) as f64;
    assert!(largest <= 8 && mean < 1.8, "up to {largest} services in one incident, {mean:.2} on average");
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
    assert_eq!(incidents.len(), 50);
    for incident in &incidents {
        assert!(incident.shared_labels.iter().any(|(name, _)| name == "rack"), "{}", incident.summary);
    }
}
