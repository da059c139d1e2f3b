//! What a configuration file may say, and what it is told when it is wrong.

use std::collections::BTreeSet;

use super::*;
use crate::series::{DAY, MINUTE};
use crate::storage::Ack;

const EXAMPLE: &str = include_str!("../../barograph.example.yaml");

fn read(text: &str) -> Result<Config, ConfigError> {
    parse_with(text, &|name| (name == "TOKEN").then(|| "s3cret".to_owned()))
}

/// The error's place, and that its reason says `words`.
fn check(text: &str, place: (u64, u64), words: &str) {
    let error = read(text).unwrap_err();
    assert_eq!((error.line, error.column), (Some(place.0), Some(place.1)), "{error}");
    assert!(error.reason.contains(words), "{error}");
}

#[test]
fn the_example_says_the_defaults() {
    assert_eq!(read(EXAMPLE).unwrap(), Config::default());
}

#[test]
fn the_example_lists_every_field() {
    // Debug output names every field of every settings struct; the file's own names differ in two.
    let debug = format!("{:#?}", Config::default());
    let renamed = |name: &str| match name {
        "max_name_len" => "max_label_name_length".to_owned(),
        "max_value_len" => "max_label_value_length".to_owned(),
        name => name.to_owned(),
    };
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let fields: BTreeSet<String> = debug
        .lines()
        .filter(|line| !line.ends_with('{'))
        .filter_map(|line| line.trim().split_once(':').map(|(name, _)| name))
        .filter(|name| is_name(name))
        .map(renamed)
        .collect();
    assert!(fields.len() > 25, "{fields:?}");
    for field in &fields {
        let line =
            EXAMPLE.lines().position(|line| line.trim_start_matches(['#', ' ']).starts_with(&format!("{field}:")));
        let line = line.unwrap_or_else(|| panic!("barograph.example.yaml does not list {field}"));
        let above = EXAMPLE.lines().nth(line.wrapping_sub(1)).unwrap_or_default();
        assert!(above.trim_start().starts_with("# "), "barograph.example.yaml does not say what {field} does");
    }
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(read("").unwrap(), Config::default());
    assert_eq!(read("# nothing\n\n  # here\n").unwrap(), Config::default());
}

#[test]
fn fields_read_with_units_and_variables() {
    let text = "data: /srv/barograph\ntoken: ${TOKEN}\nlisten: 0.0.0.0:${PORT:-9275}\nstore:\n  ack: interval:1s\n  retention: 90d\n  flush_interval: 15m\n  segment_size: 8MiB\nlimits:\n  max_body: 1MiB\n  max_labels: 5\nhttp:\n  query_timeout: 1m\nhost:\n  enabled: true\n  every: 500ms\npresets: [node]\ntime_zone: Europe/Berlin\n";
    let config = read(text).unwrap();
    assert_eq!(config.data, PathBuf::from("/srv/barograph"));
    assert_eq!(config.token.as_deref(), Some("s3cret"));
    assert_eq!(config.listen, "0.0.0.0:9275");
    assert_eq!(config.store.ack, Ack::Interval(Duration::from_secs(1)));
    assert_eq!((config.store.retention, config.store.flush_interval), (Some(90 * DAY), 15 * MINUTE));
    assert_eq!(
        (config.store.segment_size, config.limits.max_body, config.limits.labels.max_labels),
        (8 << 20, 1 << 20, 5)
    );
    assert_eq!(config.http.query_timeout, Duration::from_secs(60));
    assert_eq!(config.host, HostSettings { enabled: true, every: Duration::from_millis(500) });
    assert_eq!((config.presets, config.time_zone), (vec!["node".to_owned()], "Europe/Berlin".parse().unwrap()));
    assert_eq!(config.limits.max_decoded, Limits::default().max_decoded);
}

#[test]
fn an_empty_token_is_none() {
    assert_eq!(read("token: ${NOT_SET:-}\n").unwrap().token, None);
    assert_eq!(read("token: \"\"\n").unwrap().token, None);
}

#[test]
fn mistakes_are_told_with_their_place() {
    check("data: x\nstroe:\n  ack: fsync\n", (2, 1), "stroe");
    check("store:\n  ack: fsync\n  flush: 5\n", (3, 3), "flush");
    check("store:\n  ack: maybe\n", (2, 8), "fsync");
    check("store:\n  retention: 90\n", (2, 14), "90d");
    check("limits:\n  max_body: 5 potatoes\n", (2, 13), "16MiB");
    check("limits:\n  max_labels: many\n", (2, 15), "");
    check("host:\n  enabled: perhaps\n", (2, 12), "");
    check("data: a\ndata: b\n", (2, 1), "data");
    check("presets: [\n", (1, 10), "");
    check("data: x\ntime_zone: Mars/Olympus\n", (2, 12), "`Mars/Olympus` is no time zone; write a name such as");
    check("host:\n  every: 0s\n", (2, 10), "longer than 0");
    check("watch:\n  refresh_every: 0s\n", (2, 18), "longer than 0");
    check("listen: ${NOT_SET}\n", (1, 9), "NOT_SET");
}

#[test]
fn fields_that_do_not_go_together_are_named() {
    let error = read("limits:\n  max_body: 1GiB\n").unwrap_err();
    assert!(error.reason.contains("limits.max_decoded") && error.line.is_none(), "{error}");
    check("data: x\ntoken: \"two words\"\n", (2, 1), "token");
    check("listen: 9275\n", (1, 1), "127.0.0.1:9275");
    check("http:\n  max_queries: 1\n  max_connections: 0\n", (3, 3), "http.max_connections");
    check("store:\n  ack: fsync\nwatch:\n  alarm:\n    open_at: 1\n  detector: oracle\n", (6, 3), "known");
    check("presets: [node, toaster]\n", (1, 1), "toaster");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = load(Path::new("/nowhere/barograph.yaml")).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/barograph.yaml: cannot be read"), "{error}");
}

#[test]
fn an_error_is_shown_as_editors_read_it() {
    let error = ConfigError { path: Some("a.yaml".into()), line: Some(3), column: Some(7), reason: "no".to_owned() };
    assert_eq!(error.to_string(), "a.yaml:3:7: no");
}
