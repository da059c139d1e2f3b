//! Which series are meant: label matchers, as Prometheus has them.

use std::fmt;

use regex::Regex;

use super::key::Key;
use super::labels::{Labels, METRIC_NAME, Quoted};

/// How a label's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`: the value is this text.
    Equal,
    /// `!=`: the value is another text.
    NotEqual,
    /// `=~`: the whole value matches this regular expression.
    Regex,
    /// `!~`: the whole value does not match this regular expression.
    NotRegex,
}

impl MatchOp {
    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }
}

/// A regular expression that does not compile.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the regular expression `{pattern}` for label `{name}` is not valid: {source}")]
pub struct MatcherError {
    /// Which label it is for.
    pub name: String,
    /// The expression.
    pub pattern: String,
    /// What is wrong with it.
    pub source: regex::Error,
}

/// One condition on one label; an absent label has the empty value.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    // Set exactly when `op` is one of the two regular expression operators.
    regex: Option<Regex>,
}

impl Matcher {
    /// The condition `name op value`; regular expressions are anchored at both ends.
    ///
    /// # Errors
    /// When a regular expression does not compile.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Matcher, MatcherError> {
        let (name, value) = (name.into(), value.into());
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(
                // `s` because Prometheus lets a dot match a newline.
                Regex::new(&format!("^(?s:{value})$")).map_err(|source| MatcherError {
                    name: name.clone(),
                    pattern: value.clone(),
                    source,
                })?,
            ),
        };
        Ok(Matcher { name, op, value, regex })
    }

    /// Which label is compared.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is compared.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// What it is compared with.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label with this value, empty when absent, meets the condition.
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => value == self.value,
            (MatchOp::NotEqual, _) => value != self.value,
            (MatchOp::Regex, regex) => regex.as_ref().is_some_and(|regex| regex.is_match(value)),
            (MatchOp::NotRegex, regex) => regex.as_ref().is_some_and(|regex| !regex.is_match(value)),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, self.op.as_str(), Quoted(&self.value))
    }
}

/// The series that meet every one of some conditions; without conditions, all series.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// The conditions.
    pub matchers: Vec<Matcher>,
}

impl Selector {
    /// Every series.
    pub fn all() -> Selector {
        Selector::default()
    }

    /// The series of one metric.
    pub fn metric(name: &str) -> Selector {
        let matcher = Matcher { name: METRIC_NAME.to_owned(), op: MatchOp::Equal, value: name.to_owned(), regex: None };
        Selector { matchers: vec![matcher] }
    }

    /// The series with this key, and those that have further labels too, which no condition can exclude.
    pub fn exactly(key: &Key) -> Selector {
        let equal = |(name, value): (&str, &str)| Matcher {
            name: name.to_owned(),
            op: MatchOp::Equal,
            value: value.to_owned(),
            regex: None,
        };
        Selector { matchers: key.labels().iter().map(equal).collect() }
    }

    /// Whether a series with these labels is meant.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name).unwrap_or_default()))
    }

    /// The metric name every match must have, when a condition fixes it.
    pub fn fixed_metric(&self) -> Option<&str> {
        self.matchers
            .iter()
            .find(|matcher| matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal)
            .map(|matcher| matcher.value.as_str())
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.matchers.iter().map(Matcher::to_string).collect();
        write!(f, "{{{}}}", parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Key;

    fn check(op: MatchOp, value: &str, expected: [bool; 3]) {
        let matcher = Matcher::new("host", op, value).unwrap();
        assert_eq!(["web-1", "db-1", ""].map(|host| matcher.matches(host)), expected, "{matcher}");
    }

    #[test]
    fn the_four_operators_compare_whole_values() {
        check(MatchOp::Equal, "web-1", [true, false, false]);
        check(MatchOp::NotEqual, "web-1", [false, true, true]);
        check(MatchOp::Regex, "web", [false, false, false]);
        check(MatchOp::Regex, "web.*|db-.", [true, true, false]);
        check(MatchOp::NotRegex, "web.*", [false, true, true]);
        check(MatchOp::Regex, "", [false, false, true]);
    }

    #[test]
    fn an_absent_label_is_empty() {
        let key = Key::from_pairs("up", &[]).unwrap();
        let absent = Matcher::new("host", MatchOp::Equal, "").unwrap();
        assert!(Selector { matchers: vec![absent] }.matches(key.labels()));
        assert!(Selector::metric("up").matches(key.labels()) && !Selector::metric("down").matches(key.labels()));
    }

    #[test]
    fn a_bad_expression_is_an_error() {
        assert!(Matcher::new("host", MatchOp::Regex, "(").is_err());
    }
}
