//! What a file of events may say, and what it is told when it is wrong.

use super::*;
use crate::forecast::{Change, Holiday};
use crate::series::{DAY, HOUR, Zone};

/// 2026-12-01T00:00:00Z.
const DECEMBER: Millis = 1_796_083_200_000;

const PLAN: &str = "\
time_zone: Europe/Berlin
events:
  - name: shards move in
    match: disk_used_bytes{host=\"db-1\"}
    kind: step
    at: 2026-12-01T08:00
    add: 200GB
    give_or_take: 20GB
  - name: campaign
    match: '{service=\"shop\"}'
    kind: ramp
    from: 2026-12-01T00:00:00Z
    to: 2026-12-08T00:00:00Z
    times: 1.5
  - kind: one-off
    match: up
    from: 2026-12-02
    to: 2026-12-03
    value: 0
  - name: Christmas
    kind: holiday
    dates: [2026-12-25, 2026-12-26]
  - name: upgrades
    kind: maintenance
    windows:
      - {from: 2026-12-05 22:00, to: 2026-12-06 02:00}
      - {from: 2026-12-12 22:00, to: 2026-12-13 02:00}
  - name: larger volume
    match: disk_used_bytes
    kind: limit
    at: 2026-12-15
    add: 1TiB
";

fn key(metric: &str, labels: &[(&str, &str)]) -> Key {
    Key::from_pairs(metric, labels).unwrap()
}

fn refuses(text: &str, place: (u64, u64), words: &[&str]) {
    let error = PlannedEvents::parse(text).unwrap_err();
    assert_eq!((error.line, error.column), (Some(place.0), Some(place.1)), "{error}");
    for word in words {
        assert!(error.reason.contains(word), "{error} does not say `{word}`");
    }
}

#[test]
fn every_kind_is_read_and_scoped_by_label() {
    let plan = PlannedEvents::parse(PLAN).unwrap();
    assert_eq!(plan.len(), 6);
    let names = |key: &Key| plan.of(key).iter().map(|event| event.name.clone()).collect::<Vec<_>>();
    let all = ["upgrades", "Christmas"];
    assert_eq!(names(&key("load", &[])), all);
    assert_eq!(
        names(&key("disk_used_bytes", &[("host", "db-1")])),
        ["shards move in", all[0], "larger volume", all[1]]
    );
    assert_eq!(names(&key("disk_used_bytes", &[("host", "db-2")])), [all[0], "larger volume", all[1]]);
    assert_eq!(names(&key("requests", &[("service", "shop")])), ["campaign", all[0], all[1]]);
    assert_eq!(plan.recurring(), None);
    let series = [key("up", &[]), key("disk_used_bytes", &[])];
    let idle = |keys: &[Key], most: usize| {
        let idle = plan.idle(keys.iter().map(|key| (key, "")), most);
        idle.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(idle(&series, usize::MAX), ["shards move in", "campaign"]);
    assert_eq!(idle(&series, 1), ["shards move in"]);
    // What is of every series is no slip where there is none.
    assert_eq!(idle(&[], usize::MAX), ["shards move in", "campaign", "one-off", "larger volume"]);
    assert_eq!(plan.of_named(&key("x", &[]), "up").iter().count(), 3);

    let disk = plan.of(&key("disk_used_bytes", &[("host", "db-1")]));
    let effects: Vec<&Effect> = disk.iter().map(|event| &event.effect).collect();
    // Berlin is an hour ahead of UTC in winter.
    let step = Change::Add { by: 200e9, give_or_take: 20e9 };
    assert_eq!(effects[0], &Effect::Step { at: DECEMBER + 7 * HOUR, change: step });
    let windows = [4, 11].map(|days| (DECEMBER + days * DAY + 21 * HOUR, DECEMBER + (days + 1) * DAY + HOUR));
    assert_eq!(effects[1], &Effect::Maintenance(windows.to_vec()));
    let change = Change::Add { by: 1024f64.powi(4), give_or_take: 0.0 };
    assert_eq!(effects[2], &Effect::Limit { at: DECEMBER + 14 * DAY - HOUR, change });
    // A Friday and a Saturday; the next Sunday is two days and one day away.
    let day = |nr: i64, days_to_like| {
        let start = DECEMBER + nr * DAY - HOUR;
        Holiday { start, end: start + DAY, days_to_like }
    };
    assert_eq!(effects[3], &Effect::Holidays(vec![day(24, 2), day(25, 1)]));
    let one_off = plan.of(&key("up", &[]));
    let Effect::OneOff { change, .. } = one_off.iter().next().unwrap().effect else { panic!("{one_off:?}") };
    assert_eq!(change, Change::Become(0.0));
}

#[test]
fn what_recurs_is_listed_by_days_or_windows_under_a_name() {
    let spans = |text: &str| {
        let plan = PlannedEvents::parse(text).unwrap();
        let events = plan.of(&key("load", &[]));
        let Effect::Recurring(spans) = events.iter().next().unwrap().effect.clone() else { panic!("{events:?}") };
        spans
    };
    let days = spans("- {kind: recurring, name: payday, time_zone: Europe/Berlin, dates: [2026-12-01, 2026-12-15]}");
    let day = |nr: i64| (DECEMBER + nr * DAY - HOUR, DECEMBER + (nr + 1) * DAY - HOUR);
    assert_eq!(days, [day(0), day(14)]);
    let windows = "- {kind: recurring, name: x, windows: [{from: 2026-12-01T02:00, to: 2026-12-01T03:00}]}";
    assert_eq!(spans(windows), [(DECEMBER + 2 * HOUR, DECEMBER + 3 * HOUR)]);
    refuses("- {kind: recurring, dates: [2026-12-01]}", (1, 10), &["event 1: `name` is missing"]);
    refuses("- {kind: recurring, name: x}", (1, 10), &["`dates` or `windows` is missing"]);
    refuses("- {kind: recurring, name: x, dates: []}", (1, 10), &["`dates` is missing"]);
    let both = "- {kind: recurring, name: x, dates: [2026-12-01], windows: [{from: 2026-12-01, to: 2026-12-02}]}";
    refuses(both, (1, 60), &["not both"]);
    refuses("- {kind: recurring, name: x, dates: [2026-12-01], like: sunday}", (1, 57), &["takes no `like`"]);
    // A part of a sum is not known to recur in it; all of it is.
    let (a, b) = (key("load", &[("host", "a")]), key("load", &[("host", "b")]));
    let members = [(&a, ""), (&b, "")];
    let of = |selector: &str| {
        let text = format!("- {{kind: recurring, name: x, match: '{selector}', dates: [2026-12-01]}}");
        PlannedEvents::parse(&text).unwrap().of_aggregate(members.into_iter(), Aggregate::Sum)
    };
    assert_eq!((of("load").0.iter().count(), of("load{host=\"a\"}").1), (1, vec!["x".to_owned()]));
}

#[test]
fn json_reads_the_same_and_a_list_needs_no_mapping() {
    let event = r#"{"name": "more", "kind": "step", "at": "2026-12-01T00:00:00Z", "add": 5}"#;
    for text in [format!("[{event}]"), format!("{{\"events\": [{event}]}}"), format!("\n  [\n{event}]\n")] {
        let plan = PlannedEvents::parse(&text).unwrap();
        let events = plan.of(&key("load", &[]));
        let change = Change::Add { by: 5.0, give_or_take: 0.0 };
        assert_eq!(events.iter().next().unwrap().effect, Effect::Step { at: DECEMBER, change }, "{text}");
    }
    for text in ["", "# nothing yet\n", "events: []", "[]"] {
        assert!(PlannedEvents::parse(text).unwrap().is_empty(), "{text}");
    }
}

#[test]
fn a_question_may_say_now_and_a_file_may_not() {
    let text = "- {kind: step, at: now+2d, times: 120%}";
    let plan = PlannedEvents::assumed(text, Zone::UTC, DECEMBER).unwrap();
    let change = Change::Times { by: 1.2, give_or_take: 0.0 };
    let events = plan.of(&key("load", &[]));
    assert_eq!(events.iter().next().unwrap().effect, Effect::Step { at: DECEMBER + 2 * DAY, change });
    refuses(text, (1, 20), &["event 1: at:", "move with the clock"]);
}

#[test]
fn a_step_without_a_size_is_measured() {
    let plan = PlannedEvents::parse("- {kind: step, at: 2026-12-01}").unwrap();
    let events = plan.of(&key("load", &[]));
    assert_eq!(events.iter().next().unwrap().effect, Effect::Step { at: DECEMBER, change: Change::Measured });
}

#[test]
fn an_aggregate_is_moved_by_what_is_added_to_its_members() {
    let plan = "- {name: one, kind: step, at: 2026-12-01, add: 10, match: '{host=\"a\"}'}\n\
                - {name: each, kind: step, at: 2026-12-02, add: 5}\n\
                - {name: part, kind: step, at: 2026-12-03, times: 2, match: '{host=\"a\"}'}\n\
                - {name: all, kind: step, at: 2026-12-04, times: 3}\n\
                - {name: none, kind: step, at: 2026-12-05, add: 1, match: other}\n";
    let plan = PlannedEvents::parse(plan).unwrap();
    let keys = ["a", "b", "c", "d"].map(|host| key("load", &[("host", host)]));
    let of = |how| plan.of_aggregate(keys.iter().map(|key| (key, "")), how);
    let changes = |events: &Events| -> Vec<Change> {
        let change = |event: &Event| match event.effect {
            Effect::Step { change, .. } => change,
            _ => panic!("{event:?}"),
        };
        events.iter().map(change).collect()
    };
    let (add, times) = (|by| Change::Add { by, give_or_take: 0.0 }, |by| Change::Times { by, give_or_take: 0.0 });
    let (sum, left_out) = of(Aggregate::Sum);
    assert_eq!((changes(&sum), left_out), (vec![add(10.0), add(20.0), times(3.0)], vec!["part".to_owned()]));
    assert_eq!(changes(&of(Aggregate::Mean).0), [add(2.5), add(5.0), times(3.0)]);
}

#[test]
fn days_begin_where_the_clocks_are() {
    let plan =
        "time_zone: America/New_York\nevents:\n- {kind: holiday, dates: [2026-03-08, 2026-11-01], like: saturday}\n";
    let events = PlannedEvents::parse(plan).unwrap().of(&key("load", &[]));
    let Effect::Holidays(days) = &events.iter().next().unwrap().effect else { panic!("{events:?}") };
    // The days on which clocks are put forward and back there: Sundays of 23 and 25 hours.
    let lengths: Vec<Millis> = days.iter().map(|day| (day.end - day.start) / HOUR).collect();
    assert_eq!((lengths, days[0].days_to_like), (vec![23, 25], 6));
    let fixed = PlannedEvents::parse("time_zone: '+05:30'\nevents:\n- {kind: step, at: 2026-12-01, add: 1}\n").unwrap();
    let Effect::Step { at, .. } = fixed.of(&key("load", &[])).iter().next().unwrap().effect else { panic!() };
    assert_eq!(at, DECEMBER - 5 * HOUR - HOUR / 2);
}

#[test]
fn mistakes_are_told_with_their_place_and_what_to_do() {
    refuses("events:\n  - name: a\n    kind: stepp\n", (3, 11), &["event 1 `a`", "stepp", "step, ramp, one-off"]);
    refuses(
        "events:\n  - name: a\n    kind: step\n    at: soon\n    add: 1\n",
        (4, 9),
        &["at: `soon`", "2026-12-01T08:00"],
    );
    refuses("events:\n  - kind: step\n    add: 1\n", (2, 11), &["`at` is missing"]);
    refuses(
        "events:\n  - kind: ramp\n    from: 2026-12-01\n    to: 2026-12-02\n",
        (2, 11),
        &["`add` or `times` is missing"],
    );
    refuses("- kind: one-off\n  from: 2026-12-02\n  to: 2026-12-01\n  add: 1\n", (3, 7), &["`to` must lie after"]);
    refuses("- kind: step\n  at: 2026-12-01\n  like: monday\n", (3, 9), &["takes no `like`", "at, add, times"]);
    refuses("- kind: step\n  at: 2026-12-01\n  add: lots\n", (3, 8), &["lots", "10GiB"]);
    refuses("- kind: step\n  at: 2026-12-01\n  add: 1\n  times: 2\n", (1, 9), &["exclude each other"]);
    refuses("- kind: step\n  at: 2026-12-01\n  times: 0\n", (3, 10), &["cannot be multiplied by 0"]);
    refuses("- kind: one-off\n  from: 2026-12-01\n  to: 2026-12-02\n  times: -1\n", (4, 10), &["not be below 0"]);
    refuses("- kind: step\n  at: 2026-12-01\n  add: 1\n  give_or_take: -1\n", (4, 17), &["not be below 0"]);
    refuses("- kind: holiday\n", (1, 9), &["`dates` is missing"]);
    refuses("- kind: holiday\n  dates: [2026-12-25, Christmas]\n", (2, 23), &["`Christmas` is no date"]);
    refuses("- kind: holiday\n  dates: [2026-12-25]\n  like: funday\n", (3, 9), &["funday", "sunday"]);
    refuses("- kind: step\n  at: 2026-12-01\n  match: 'up{'\n", (3, 10), &["match:", "up{"]);
    refuses("time_zone: Mars/Olympus\nevents: []\n", (1, 12), &["Mars/Olympus", "Europe/Berlin"]);
    refuses("- kind: maintenance\n  windows: []\n", (2, 12), &["at least one"]);
    refuses("- kind: step\n  at: 1850-01-01\n  add: 1\n", (2, 7), &["before 1970"]);
    refuses("events:\n  - kind: step\n    when: 2026-12-01\n", (3, 5), &["when"]);
    // The night in which clocks are put forward in Berlin.
    refuses("- {kind: step, at: 2026-03-29T02:30, time_zone: Europe/Berlin, add: 1}", (1, 20), &["skipped"]);
    assert!(PlannedEvents::parse("5").is_err() && PlannedEvents::parse("events: 5").is_err());
    let missing = PlannedEvents::load(Path::new("/nowhere/events.yaml"), Zone::UTC).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/events.yaml: cannot be read"), "{missing}");
}

#[test]
fn an_error_is_shown_as_editors_read_it() {
    let error = EventsError { path: None, line: Some(3), column: Some(7), reason: "no".to_owned() };
    assert_eq!(error.to_string(), "line 3, column 7: no");
    assert_eq!(EventsError { path: Some("a.yaml".into()), ..error }.to_string(), "a.yaml:3:7: no");
}
