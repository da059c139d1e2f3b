//! Label sets: sorted, unique, validated once, at the edge.
//!
//! Source for the rules: prometheus.io, "Data model": label names match `[a-zA-Z_][a-zA-Z0-9_]*`, metric names
//! may also hold colons, values are any UTF-8, an empty value is the same as no label. Names outside those
//! alphabets arrive from OpenTelemetry and Prometheus 3, so any UTF-8 name without control characters is kept.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";

/// How large a label set may be; over a limit is a clear rejection of that sample, never a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelLimits {
    /// Labels per series, the metric name included.
    pub max_labels: usize,
    /// Bytes in a label's name.
    pub max_name_len: usize,
    /// Bytes in a label's value.
    pub max_value_len: usize,
}

impl Default for LabelLimits {
    fn default() -> Self {
        LabelLimits { max_labels: 64, max_name_len: 512, max_value_len: 4096 }
    }
}

/// Why a label set was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// No metric name, or an empty one.
    #[error("the metric name is missing: set `metric` (or the label `__name__`) to a non-empty name")]
    NoMetric,
    /// A label without a name.
    #[error("a label name is empty; give it a name or drop the label")]
    EmptyName,
    /// A name with characters that no one can type or quote.
    #[error("the label name `{0}` has control characters; use letters, digits and underscores")]
    BadName(String),
    /// The same name twice.
    #[error("the label `{0}` is given twice; each name may occur once")]
    Duplicate(String),
    /// More labels than allowed.
    #[error("the series has {got} labels, more than the {limit} allowed (config: limits.max_labels)")]
    TooMany {
        /// How many came.
        got: usize,
        /// How many may come.
        limit: usize,
    },
    /// Texts of 4 GiB together, which no limit in use allows.
    #[error("the labels are larger than 4 GiB together; shorten them")]
    TooLarge,
    /// A name longer than allowed.
    #[error(
        "a label name has {got} bytes, more than the {limit} allowed (config: limits.max_label_name_length): `{start}...`"
    )]
    LongName {
        /// Its first characters.
        start: String,
        /// Its length in bytes.
        got: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// A value longer than allowed.
    #[error(
        "the value of label `{name}` has {got} bytes, more than the {limit} allowed (config: limits.max_label_value_length)"
    )]
    LongValue {
        /// Whose value it is.
        name: String,
        /// Its length in bytes.
        got: usize,
        /// The longest allowed.
        limit: usize,
    },
}

/// A set of labels: sorted by name, each name once, no empty values, with a metric name.
///
/// One text and one list of offsets, whatever the number of labels: a fleet keeps a million of these in memory.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels {
    // Every name followed by its value.
    text: Box<str>,
    // Where each name and each value ends in `text`, two per label.
    ends: Box<[u32]>,
}

impl Labels {
    /// Checks and sorts `pairs`, dropping labels with an empty value.
    ///
    /// # Errors
    /// Whatever [`LabelError`] names: no metric, bad or duplicate names, over a limit.
    pub fn new<N, V>(pairs: impl IntoIterator<Item = (N, V)>, limits: &LabelLimits) -> Result<Labels, LabelError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut kept: Vec<(N, V)> = Vec::new();
        let mut got = 0;
        for (name, value) in pairs {
            got += 1;
            // Count on, but keep nothing, so that a flood of labels costs no memory.
            if got > limits.max_labels {
                continue;
            }
            check(name.as_ref(), value.as_ref(), limits)?;
            if !value.as_ref().is_empty() {
                kept.push((name, value));
            }
        }
        if got > limits.max_labels {
            return Err(LabelError::TooMany { got, limit: limits.max_labels });
        }
        kept.sort_unstable_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        if let Some(pair) = kept.windows(2).find(|pair| pair[0].0.as_ref() == pair[1].0.as_ref()) {
            return Err(LabelError::Duplicate(pair[0].0.as_ref().to_owned()));
        }
        let labels = Labels::joined(&kept)?;
        if labels.get(METRIC_NAME).is_none() { Err(LabelError::NoMetric) } else { Ok(labels) }
    }

    /// The same of pairs that were labels before: already sorted, each name once, without empty values.
    ///
    /// # Errors
    /// As [`Labels::new`], without limits, when they are not.
    pub fn from_sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Result<Labels, LabelError> {
        let is_plain = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        let (mut last, mut has_metric, mut is_sound) = ("", false, true);
        let (mut n_labels, mut len) = (0, 0);
        for (name, value) in pairs.clone() {
            is_sound &= last < name && !value.is_empty() && is_plain(name);
            has_metric |= name == METRIC_NAME;
            (last, n_labels, len) = (name, n_labels + 1, len + name.len() + value.len());
        }
        if !(is_sound && has_metric && u32::try_from(len).is_ok()) {
            let limits = LabelLimits { max_labels: usize::MAX, max_name_len: usize::MAX, max_value_len: usize::MAX };
            return Labels::new(pairs, &limits);
        }
        let (mut text, mut ends) = (String::with_capacity(len), Vec::with_capacity(2 * n_labels));
        for part in pairs.flat_map(|(name, value)| [name, value]) {
            text.push_str(part);
            ends.push(text.len() as u32);
        }
        Ok(Labels { text: text.into_boxed_str(), ends: ends.into_boxed_slice() })
    }

    fn joined<N: AsRef<str>, V: AsRef<str>>(pairs: &[(N, V)]) -> Result<Labels, LabelError> {
        let texts = || pairs.iter().flat_map(|(name, value)| [name.as_ref(), value.as_ref()]);
        let mut text = String::with_capacity(texts().map(str::len).sum());
        let mut ends = Vec::with_capacity(2 * pairs.len());
        for part in texts() {
            text.push_str(part);
            // Limits far below it are the rule; a reader of old files sets none.
            ends.push(u32::try_from(text.len()).map_err(|_| LabelError::TooLarge)?);
        }
        Ok(Labels { text: text.into_boxed_str(), ends: ends.into_boxed_slice() })
    }

    /// The metric's name.
    pub fn metric(&self) -> &str {
        if self.begins_with_metric() { self.part(1) } else { self.get(METRIC_NAME).unwrap_or_default() }
    }

    /// Whether the metric's name comes before every other label.
    pub(super) fn begins_with_metric(&self) -> bool {
        self.ends.first() == Some(&(METRIC_NAME.len() as u32)) && self.text.starts_with(METRIC_NAME)
    }

    /// The value of label `name`, or `None` when the set has no such label.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.part(2 * middle).cmp(name) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Some(self.part(2 * middle + 1)),
            }
        }
        None
    }

    /// Every label in name order, the metric name included.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        (0..self.len()).map(|idx| (self.part(2 * idx), self.part(2 * idx + 1)))
    }

    /// As [`iter`](Labels::iter), for comparing with other bytes: which are texts need not be looked up again.
    pub fn iter_bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut left = self.text.as_bytes();
        let mut n_before = 0;
        self.ends.chunks_exact(2).map(move |ends| {
            let (label, later) = left.split_at((ends[1] - n_before) as usize);
            let parts = label.split_at((ends[0] - n_before) as usize);
            (left, n_before) = (later, ends[1]);
            parts
        })
    }

    /// Every label but the metric name, in name order.
    pub fn without_metric(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.iter().filter(|(name, _)| *name != METRIC_NAME)
    }

    /// How many labels there are, the metric name included.
    pub fn len(&self) -> usize {
        self.ends.len() / 2
    }

    /// Never true: a label set has a metric name. Here because `len` is.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many names and values from the first on have the same lengths in both.
    pub(super) fn n_alike(&self, other: &Labels) -> usize {
        self.ends.iter().zip(&other.ends).take_while(|(end, other)| end == other).count()
    }

    /// Every name and value up to the one numbered `n_parts`, one after the other.
    pub(super) fn head(&self, n_parts: usize) -> &[u8] {
        let end = self.ends.get(n_parts).or(self.ends.last()).copied().unwrap_or(0);
        &self.text.as_bytes()[..end as usize]
    }

    /// Bytes of memory the texts take.
    pub(super) fn n_bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.ends)
    }

    // The names at even places, the values at odd ones.
    fn part(&self, idx: usize) -> &str {
        &self.text[self.range(idx)]
    }

    fn range(&self, idx: usize) -> Range<usize> {
        let start = if idx == 0 { 0 } else { self.ends[idx - 1] };
        start as usize..self.ends[idx] as usize
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Labels) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    /// Label by label, names before values.
    fn cmp(&self, other: &Labels) -> Ordering {
        // As far as both have the same boundaries, comparing part by part is comparing the texts.
        let n_parts = self.n_alike(other);
        let len = n_parts.checked_sub(1).map_or(0, |last| self.ends[last] as usize);
        let alike = self.text.as_bytes()[..len].cmp(&other.text.as_bytes()[..len]);
        alike.then_with(|| match (n_parts < self.ends.len(), n_parts < other.ends.len()) {
            (true, true) => self.part(n_parts).cmp(other.part(n_parts)),
            (is_longer, other_is_longer) => is_longer.cmp(&other_is_longer),
        })
    }
}

fn check(name: &str, value: &str, limits: &LabelLimits) -> Result<(), LabelError> {
    if name.is_empty() {
        return Err(LabelError::EmptyName);
    }
    if name.len() > limits.max_name_len {
        let start = name.chars().take(32).collect();
        return Err(LabelError::LongName { start, got: name.len(), limit: limits.max_name_len });
    }
    if value.len() > limits.max_value_len {
        return Err(LabelError::LongValue { name: name.to_owned(), got: value.len(), limit: limits.max_value_len });
    }
    if name.chars().any(char::is_control) {
        return Err(LabelError::BadName(name.escape_debug().to_string()));
    }
    Ok(())
}

/// A text in double quotes as PromQL reads it back; Rust's own escapes, such as `\u{301}`, are not PromQL's.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\r' => f.write_str("\\r")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

impl fmt::Display for Labels {
    /// As a selector that matches just this series: `disk_used{host="a",mount="/"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metric = self.metric();
        let is_plain = |name: &str, colon: bool| {
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || (colon && b == b':'))
                && !name.starts_with(|c: char| c.is_ascii_digit())
        };
        let mut parts: Vec<String> = Vec::new();
        if is_plain(metric, true) {
            f.write_str(metric)?;
        } else {
            parts.push(Quoted(metric).to_string());
        }
        for (name, value) in self.without_metric() {
            if is_plain(name, false) {
                parts.push(format!("{name}={}", Quoted(value)));
            } else {
                parts.push(format!("{}={}", Quoted(name), Quoted(value)));
            }
        }
        if parts.is_empty() { Ok(()) } else { write!(f, "{{{}}}", parts.join(",")) }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&str, &str)], expected: Result<&str, LabelError>) {
        let limits = LabelLimits { max_labels: 3, max_name_len: 8, max_value_len: 8 };
        let got = Labels::new(pairs.iter().copied(), &limits).map(|labels| labels.to_string());
        assert_eq!(got, expected.map(str::to_owned));
    }

    #[test]
    fn labels_are_sorted_and_empty_values_dropped() {
        check(&[("b", "2"), ("__name__", "up"), ("a", "")], Ok("up{b=\"2\"}"));
        check(&[("__name__", "up")], Ok("up"));
        check(&[("__name__", "a b"), ("c.d", "e")], Ok("{\"a b\",\"c.d\"=\"e\"}"));
    }

    #[test]
    fn bad_sets_are_refused_with_the_reason() {
        check(&[("a", "1")], Err(LabelError::NoMetric));
        check(&[("__name__", "")], Err(LabelError::NoMetric));
        check(&[("", "1"), ("__name__", "up")], Err(LabelError::EmptyName));
        check(&[("__name__", "up"), ("a", "1"), ("a", "2")], Err(LabelError::Duplicate("a".into())));
        check(&[("__name__", "up"), ("a\n", "1")], Err(LabelError::BadName("a\\n".into())));
        check(&[("__name__", "up"), ("a", "1"), ("b", "1"), ("c", "1")], Err(LabelError::TooMany { got: 4, limit: 3 }));
        check(
            &[("__name__", "up"), ("a", "123456789")],
            Err(LabelError::LongValue { name: "a".into(), got: 9, limit: 8 }),
        );
    }
}
