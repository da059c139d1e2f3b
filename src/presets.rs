//! What is known beforehand of the metrics people have: kinds, units, limits and which deviations matter.
//!
//! In: the YAML files of `models/`, compiled into the binary, and the operator's own. Out: for a series' key the first [`Rule`] whose
//! selector matches. `models/README.md` documents every field.

use std::path::Path;

use serde::Deserialize;

use crate::query::parse_selector;
use crate::series::{Key, MetricSettings, Selector, Zone};

/// The files of `models/`, by name.
const SHIPPED: [(&str, &str); 5] = [
    ("node", include_str!("../models/node.yaml")),
    ("container", include_str!("../models/container.yaml")),
    ("database", include_str!("../models/database.yaml")),
    ("queue", include_str!("../models/queue.yaml")),
    ("web", include_str!("../models/web.yaml")),
];

/// Why presets could not be loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PresetError {
    /// No preset of that name.
    #[error("there is no preset `{name}`; the presets are {known}, and files that end in .yaml or .yml")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A file that cannot be read.
    #[error("preset `{path}` cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A preset that does not read.
    #[error("preset `{name}`: {reason}")]
    Invalid {
        /// Which preset.
        name: String,
        /// What is wrong with it, with the line.
        reason: String,
    },
}

/// Where a series' limit comes from when it is measured too.
#[derive(Clone, Debug)]
pub struct LimitMetric {
    /// The series whose last value is the limit; among its matches, the one that shares most labels.
    pub selector: Selector,
    /// The share of that value which is the limit; 1 is all of it.
    pub share: f64,
    /// The labels on which both series must agree; empty, every label that both have.
    pub on: Vec<String>,
}

/// What is known of the series that a selector matches.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which series.
    pub selector: Selector,
    /// Facts about them.
    pub metric: MetricSettings,
    /// The registered forecaster to use; unset, `auto`.
    pub forecaster: Option<String>,
    /// The registered detector to use; unset, `auto`.
    pub detector: Option<String>,
    /// The series that measures the limit, such as a file system's size.
    pub limit_metric: Option<LimitMetric>,
    /// Whether the standing loop scores and forecasts the series; default true.
    pub watch: bool,
}

/// One kind of thing to watch, with its rules.
#[derive(Clone, Debug)]
pub struct Preset {
    /// `node`, `container`, `database`, `queue` or `web`.
    pub name: String,
    /// What it covers, in a sentence.
    pub summary: String,
    /// First match wins.
    pub rules: Vec<Rule>,
}

/// Presets in the order in which they are asked.
#[derive(Clone, Debug, Default)]
pub struct Presets {
    presets: Vec<Preset>,
    time_zone: Option<Zone>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresetText {
    name: String,
    summary: String,
    rules: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    selector: String,
    #[serde(default)]
    metric: MetricSettings,
    #[serde(default)]
    forecaster: Option<String>,
    #[serde(default)]
    detector: Option<String>,
    #[serde(default)]
    limit_from: Option<LimitText>,
    #[serde(default = "yes")]
    watch: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitText {
    selector: String,
    #[serde(default = "one")]
    share: f64,
    #[serde(default)]
    on: Vec<String>,
}

fn yes() -> bool {
    true
}

fn one() -> f64 {
    1.0
}

impl Preset {
    /// Reads a preset from YAML.
    ///
    /// # Errors
    /// With the line, when a field is unknown, missing or of the wrong kind, or a selector does not parse.
    pub fn parse(name: &str, text: &str) -> Result<Preset, PresetError> {
        let fail = |reason: String| PresetError::Invalid { name: name.to_owned(), reason };
        let read: PresetText = serde_saphyr::from_str(text).map_err(|error| fail(error.to_string()))?;
        let select = |selector: &str| parse_selector(selector).map_err(|error| fail(format!("`{selector}`: {error}")));
        let rules = read.rules.into_iter().map(|rule| {
            let limit_metric = match rule.limit_from {
                Some(limit) => {
                    Some(LimitMetric { selector: select(&limit.selector)?, share: limit.share, on: limit.on })
                }
                None => None,
            };
            Ok(Rule {
                selector: select(&rule.selector)?,
                metric: rule.metric,
                forecaster: rule.forecaster,
                detector: rule.detector,
                limit_metric,
                watch: rule.watch,
            })
        });
        Ok(Preset { name: read.name, summary: read.summary, rules: rules.collect::<Result<_, _>>()? })
    }
}

impl Presets {
    /// No presets: every series is an ordinary one.
    pub fn none() -> Presets {
        Presets::default()
    }

    /// The same, with `zone` as the time zone of metrics whose rule names none.
    #[must_use]
    pub fn in_zone(self, zone: Zone) -> Presets {
        Presets { time_zone: Some(zone), ..self }
    }

    /// Every preset of `models/`.
    pub fn shipped() -> Presets {
        let presets = SHIPPED.iter().map(|(name, text)| {
            Preset::parse(name, text).expect("the shipped presets are parsed in a test of this file")
        });
        Presets { presets: presets.collect(), ..Presets::default() }
    }

    /// The shipped presets of these names, and files of the same kind where a name ends in `.yaml` or `.yml`, in that
    /// order.
    ///
    /// # Errors
    /// When a name is not among them, when a file cannot be read or is no preset.
    pub fn load(names: &[String]) -> Result<Presets, PresetError> {
        let load_one = |name: &String| {
            if Path::new(name).extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
                let text = std::fs::read_to_string(name)
                    .map_err(|error| PresetError::Unreadable { path: name.clone(), reason: error.to_string() })?;
                return Preset::parse(name, &text);
            }
            let known = || SHIPPED.map(|(name, _)| name).join(", ");
            let (name, text) = SHIPPED
                .iter()
                .find(|(known, _)| known == name)
                .ok_or_else(|| PresetError::Unknown { name: name.clone(), known: known() })?;
            Preset::parse(name, text)
        };
        let presets = names.iter().map(load_one).collect::<Result<_, _>>()?;
        Ok(Presets { presets, ..Presets::default() })
    }

    /// The names of the shipped presets.
    pub fn names() -> [&'static str; 5] {
        SHIPPED.map(|(name, _)| name)
    }

    /// The presets, in the order in which they are asked.
    pub fn presets(&self) -> &[Preset] {
        &self.presets
    }

    /// The first rule whose selector matches.
    pub fn rule_for(&self, key: &Key) -> Option<&Rule> {
        self.presets.iter().flat_map(|preset| &preset.rules).find(|rule| rule.selector.matches(key.labels()))
    }

    /// What is known of the series; the defaults when no rule matches.
    pub fn settings_for(&self, key: &Key) -> MetricSettings {
        self.settings_by(self.rule_for(key))
    }

    /// What `rule` says of a metric, in the time zone that holds where it names none.
    pub fn settings_by(&self, rule: Option<&Rule>) -> MetricSettings {
        let metric = rule.map(|rule| rule.metric.clone()).unwrap_or_default();
        MetricSettings { time_zone: metric.time_zone.or(self.time_zone), ..metric }
    }

    /// The time zone of what metrics in `zones` add up to: theirs, or where they differ the one that holds for metrics
    /// whose rule names none.
    pub fn shared_zone(&self, mut zones: impl Iterator<Item = Option<Zone>>) -> Option<Zone> {
        let first = zones.next().flatten();
        if zones.all(|zone| zone == first) { first } else { self.time_zone }
    }
}

impl LimitMetric {
    /// The whole of which the series is a part: the value of the agreeing series that shares most labels.
    ///
    /// Zero and less mean "no limit", as exporters report it.
    pub fn whole_for<'a>(&self, key: &Key, candidates: impl IntoIterator<Item = (&'a Key, f64)>) -> Option<f64> {
        let n_shared = |other: &Key| -> Option<usize> {
            let labels = other.labels();
            if !self.selector.matches(labels) {
                return None;
            }
            if self.on.is_empty() {
                let agrees = |(name, value): (&str, &str)| key.labels().get(name).is_none_or(|mine| mine == value);
                labels.without_metric().all(agrees).then_some(())?;
            } else if !self.on.iter().all(|name| labels.get(name) == key.labels().get(name)) {
                return None;
            }
            Some(labels.without_metric().filter(|(name, value)| key.labels().get(name) == Some(*value)).count())
        };
        candidates
            .into_iter()
            .filter(|(_, value)| value.is_finite() && *value > 0.0)
            .filter_map(|(other, value)| Some((n_shared(other)?, value)))
            .max_by_key(|(n, _)| *n)
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{MetricKind, Side};

    #[test]
    fn every_shipped_preset_parses() {
        let presets = Presets::shipped();
        assert_eq!(presets.presets().len(), Presets::names().len());
        for (preset, name) in presets.presets().iter().zip(Presets::names()) {
            assert_eq!(preset.name, name);
            assert!(!preset.summary.is_empty() && preset.rules.len() > 10, "{name}");
            for rule in &preset.rules {
                let about = format!("{name}: {}", rule.selector);
                assert!(!rule.selector.matchers.is_empty(), "{about}");
                assert!(rule.metric.least_absolute >= 0.0 && rule.metric.least_relative >= 0.0, "{about}");
                assert!(rule.limit_metric.as_ref().is_none_or(|limit| (0.0..=1.0).contains(&limit.share)), "{about}");
            }
        }
    }

    #[test]
    fn real_series_meet_their_rule() {
        let presets = Presets::shipped();
        let settings =
            |metric: &str, labels: &[(&str, &str)]| presets.settings_for(&Key::from_pairs(metric, labels).unwrap());
        assert_eq!(settings("node_filesystem_avail_bytes", &[("fstype", "ext4")]).matters, Side::Down);
        assert_eq!(settings("node_cpu_seconds_total", &[("mode", "idle")]).matters, Side::Down);
        assert_eq!(settings("node_cpu_seconds_total", &[("mode", "user")]).kind, Some(MetricKind::Counter));
        assert_eq!(settings("http_requests_total", &[("code", "503")]).matters, Side::Up);
        assert_eq!(settings("http_requests_total", &[("code", "200")]).matters, Side::Both);
        assert_eq!(settings("pg_stat_activity_count", &[]).unit.as_deref(), Some("connections"));
        assert_eq!(settings("rabbitmq_queue_messages_ready", &[]).matters, Side::Up);
        assert_eq!(settings("something_else", &[]), MetricSettings::default());
        let bucket = Key::from_pairs("http_request_duration_seconds_bucket", &[("le", "0.1")]).unwrap();
        assert!(!presets.rule_for(&bucket).unwrap().watch);
        let squash = Key::from_pairs("node_filesystem_avail_bytes", &[("fstype", "squashfs")]).unwrap();
        assert!(!presets.rule_for(&squash).unwrap().watch);
    }

    #[test]
    fn the_limit_comes_from_the_series_that_agrees() {
        let presets = Presets::shipped();
        let key = Key::from_pairs("node_filesystem_avail_bytes", &[("host", "a"), ("mountpoint", "/")]).unwrap();
        let limit = presets.rule_for(&key).unwrap().limit_metric.clone().unwrap();
        let size = |host, mount| {
            Key::from_pairs("node_filesystem_size_bytes", &[("host", host), ("mountpoint", mount)]).unwrap()
        };
        let (a, b, c) = (size("a", "/"), size("b", "/"), size("a", "/data"));
        assert_eq!(limit.whole_for(&key, [(&b, 1.0), (&a, 2.0), (&c, 3.0)]), Some(2.0));
        assert_eq!(limit.whole_for(&key, [(&b, 1.0), (&a, 0.0)]), None);
    }

    #[test]
    fn limits_of_pods_agree_on_the_declared_labels() {
        let presets = Presets::shipped();
        let pod = [("namespace", "n"), ("pod", "p"), ("container", "c")];
        let with = |metric, more: &[(&'static str, &'static str)]| {
            Key::from_pairs(metric, &[&pod[..], more].concat()).unwrap()
        };
        let used = with("container_memory_working_set_bytes", &[("job", "cadvisor")]);
        let limits = with("kube_pod_container_resource_limits", &[("job", "ksm"), ("resource", "memory")]);
        let cpu = with("kube_pod_container_resource_limits", &[("job", "ksm"), ("resource", "cpu")]);
        let limit = presets.rule_for(&used).unwrap().limit_metric.clone().unwrap();
        assert_eq!(limit.whole_for(&used, [(&cpu, 2.0), (&limits, 5e8)]), Some(5e8));
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text: &str, expected: &str| {
            let error = Preset::parse("mine", text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("name: a\nsummary: b\nrules:\n  - selektor: up\n", "selektor");
        check("name: a\nsummary: b\nrules:\n  - selector: 'up{'\n", "up{");
        check("name: a\nsummary: b\nrules:\n  - selector: up\n    metric: { mater: up }\n", "mater");
        let wrong_zone = "name: a\nsummary: b\nrules:\n  - selector: up\n    metric: { time_zone: Mars/Olympus }\n";
        check(wrong_zone, "`Mars/Olympus` is no time zone; write a name such as Europe/Berlin");
        check(wrong_zone, "line 5 column 26");
        let unknown = Presets::load(&["nodes".to_owned()]).unwrap_err().to_string();
        assert!(unknown.contains("`nodes`") && unknown.contains("node, container"), "{unknown}");
        let missing = Presets::load(&["not-here.yaml".to_owned()]).unwrap_err().to_string();
        assert!(missing.contains("`not-here.yaml` cannot be read"), "{missing}");
    }

    #[test]
    fn a_file_of_ones_own_is_asked_in_its_turn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.yaml");
        let rules = "name: mine\nsummary: what we have\nrules:\n  - selector: temperature_celsius\n    metric: { valid_min: -.inf }\n  - selector: node_memory_MemAvailable_bytes\n    metric: { integer: true, valid_min: -5 }\n";
        std::fs::write(&path, rules).unwrap();
        let mine = path.to_str().unwrap().to_owned();
        let settings = |names: &[String], metric: &str| {
            Presets::load(names).unwrap().settings_for(&Key::from_pairs(metric, &[]).unwrap())
        };
        let (first, last) = ([mine.clone(), "node".to_owned()], ["node".to_owned(), mine]);
        assert_eq!(settings(&first, "temperature_celsius").valid_min, Some(f64::NEG_INFINITY));
        assert!(settings(&first, "node_memory_MemAvailable_bytes").integer);
        assert_eq!(settings(&last, "node_memory_MemAvailable_bytes").valid_min, Some(0.0));
        std::fs::write(&path, "name: mine\nsummary: a\nrules: [{ selector: up, metric: { integers: true } }]\n")
            .unwrap();
        assert!(Presets::load(&first).unwrap_err().to_string().contains("integers"));
    }

    #[test]
    fn a_time_zone_of_the_metric_wins_over_the_one_that_holds_for_all() {
        let text = "name: a\nsummary: b\nrules:\n  - selector: up\n    metric: { time_zone: Asia/Tokyo }\n";
        let presets = Presets { presets: vec![Preset::parse("a", text).unwrap()], ..Presets::default() };
        let (tokyo, berlin): (Zone, Zone) = ("Asia/Tokyo".parse().unwrap(), "Europe/Berlin".parse().unwrap());
        let zones = |presets: &Presets| {
            ["up", "down"].map(|metric| presets.settings_for(&Key::from_pairs(metric, &[]).unwrap()).zone())
        };
        assert_eq!(zones(&presets), [tokyo, Zone::UTC]);
        let presets = presets.in_zone(berlin);
        assert_eq!(zones(&presets), [tokyo, berlin]);
        let shared = |zones: &[Option<Zone>]| presets.shared_zone(zones.iter().copied());
        assert_eq!((shared(&[Some(tokyo); 3]), shared(&[])), (Some(tokyo), None));
        assert_eq!(shared(&[Some(tokyo), Some(Zone::UTC)]), Some(berlin));
    }
}
