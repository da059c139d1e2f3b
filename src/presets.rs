//! What is known beforehand of the metrics people have: kinds, units, limits and which deviations matter.
//!
//! In: the YAML files of `models/`, compiled into the binary. Out: for a series' key the first [`Rule`] whose
//! selector matches. `models/README.md` documents every field.

use serde::Deserialize;

use crate::series::{Key, MetricSettings, Selector};

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
    #[error("there is no preset `{name}`; the presets are {known}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: String,
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
    /// The share of that value which must not be exceeded; 1 is all of it.
    pub share: f64,
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
}

// Until the query room's parser lands.
fn parse_selector(text: &str) -> Result<Selector, PresetError> {
    Ok(Selector::metric(text))
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
                Some(limit) => Some(LimitMetric { selector: select(&limit.selector)?, share: limit.share }),
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

    /// Every preset of `models/`.
    pub fn shipped() -> Presets {
        let presets = SHIPPED.iter().map(|(name, text)| {
            Preset::parse(name, text).expect("the shipped presets are parsed in a test of this file")
        });
        Presets { presets: presets.collect() }
    }

    /// The shipped presets of these names, in that order.
    ///
    /// # Errors
    /// When a name is not among them.
    pub fn load(names: &[String]) -> Result<Presets, PresetError> {
        let load_one = |name: &String| {
            let known = || SHIPPED.map(|(name, _)| name).join(", ");
            let (name, text) = SHIPPED
                .iter()
                .find(|(known, _)| known == name)
                .ok_or_else(|| PresetError::Unknown { name: name.clone(), known: known() })?;
            Preset::parse(name, text)
        };
        Ok(Presets { presets: names.iter().map(load_one).collect::<Result<_, _>>()? })
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
        self.rule_for(key).map(|rule| rule.metric.clone()).unwrap_or_default()
    }
}
