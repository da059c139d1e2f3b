//! Which column means what: names and types decide, values are not looked at.

use std::collections::BTreeSet;

/// The kinds of column that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Text,
    Whole,
    Fraction,
    /// True or false.
    Truth,
    Instant,
    /// A map from label names to values.
    Labels,
    Other,
}

/// A column's name, kind, and type as people know it.
#[derive(Clone, Debug)]
pub(super) struct FoundColumn {
    pub(super) name: String,
    pub(super) class: Class,
    pub(super) type_name: String,
}

const TIME_NAMES: [&str; 6] = ["timestamp", "ts", "time", "datetime", "date", "ds"];
const STEP_NAMES: [&str; 2] = ["t", "step"];
const VALUE_NAMES: [&str; 3] = ["value", "y", "v"];
const SERIES_NAMES: [&str; 2] = ["series", "unique_id"];
const METRIC_NAMES: [&str; 3] = ["metric", "__name__", "metric_name"];
/// The truth that labelled benchmark data carries; reading it as data would be cheating.
const TRUTH_NAMES: [&str; 4] = ["label", "is_anomaly", "anomaly", "labels_truth"];
/// Columns of our own blocks that say the same as others.
const KNOWN_EXTRAS: [&str; 1] = ["series_id"];

/// What names the series of a long table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The whole file is one series.
    File,
    /// One column holds the series' name.
    Name(String),
    /// Metric column (or the file's name), a map of labels, and text columns that are labels.
    Labels { metric: Option<String>, map: Option<String>, texts: Vec<String>, id: Option<String> },
}

/// How a table is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One value per row.
    Long { value: String, identity: Identity },
    /// One column per series; text columns are labels that all of a row's series share.
    Wide { columns: Vec<String>, texts: Vec<String> },
}

/// The meaning of a table's columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Roles {
    pub(super) time: String,
    pub(super) layout: Layout,
    /// Columns that mean nothing here, other than the truth.
    pub(super) ignored: Vec<String>,
}

impl Roles {
    /// The columns to read, each once.
    pub(super) fn needed(&self) -> Vec<String> {
        let mut names = vec![self.time.clone()];
        match &self.layout {
            Layout::Long { value, identity } => {
                names.push(value.clone());
                match identity {
                    Identity::File => {}
                    Identity::Name(name) => names.push(name.clone()),
                    Identity::Labels { metric, map, texts, id } => {
                        names.extend([metric, map, id].into_iter().flatten().cloned());
                        names.extend(texts.iter().cloned());
                    }
                }
            }
            Layout::Wide { columns, texts } => {
                names.extend(columns.iter().cloned());
                names.extend(texts.iter().cloned());
            }
        }
        names
    }
}

/// What a table needs, for the error that says it is missing.
pub(super) const NEEDED: &str = "a time column (timestamp, ts, time, datetime, date or ds; or whole numbers in t) and \
     either a number column `value` (or y, v) with `series`, or `metric` and label columns beside it, or one number \
     column per series";

/// What a table of known columns needs.
pub(super) const NEEDED_OF_KNOWN: &str = "a time column (timestamp, ts, time, datetime, date or ds; or whole numbers \
     in t) and one number column for each thing that is known beforehand";

/// Finds the meaning of the columns of a table of what is known beforehand: every column of numbers, or of true and
/// false, is one of them. Text columns say which series they are of, and so do whole numbers in a column that is called
/// like one of the `labels` of the series, or like what names them: a number does not tell which of both it is.
pub(super) fn find_known_roles(columns: &[FoundColumn], labels: &BTreeSet<&str>) -> Result<Roles, String> {
    let time = time_of(columns)?;
    let is_label = |column: &FoundColumn| {
        let names_series = SERIES_NAMES.iter().any(|name| column.name.trim().eq_ignore_ascii_case(name));
        column.class == Class::Text
            || column.class == Class::Whole && (names_series || labels.contains(column.name.as_str()))
    };
    let is_number = |column: &&FoundColumn| {
        matches!(column.class, Class::Whole | Class::Fraction | Class::Truth) && !is_label(column)
    };
    let rest = || columns.iter().filter(|column| column.name != time.name);
    let names = |of: &dyn Fn(&&FoundColumn) -> bool| rest().filter(|it| of(it)).map(|it| it.name.clone()).collect();
    let numbers: Vec<String> = names(&is_number);
    if numbers.is_empty() {
        return Err("there is no number column of what is known beforehand".to_owned());
    }
    let texts = names(&|column| is_label(column));
    let ignored = names(&|column| !is_number(column) && !is_label(column));
    Ok(Roles { time: time.name.clone(), layout: Layout::Wide { columns: numbers, texts }, ignored })
}

/// The first column with one of `names` whose class `fits`.
fn named<'a>(columns: &'a [FoundColumn], names: &[&str], fits: &dyn Fn(Class) -> bool) -> Option<&'a FoundColumn> {
    names.iter().find_map(|name| {
        columns.iter().find(|column| column.name.trim().eq_ignore_ascii_case(name) && fits(column.class))
    })
}

/// The column that dates the rows.
fn time_of(columns: &[FoundColumn]) -> Result<&FoundColumn, String> {
    let can_date = |class| matches!(class, Class::Instant | Class::Whole | Class::Fraction | Class::Text);
    let mut instants = columns.iter().filter(|column| column.class == Class::Instant);
    named(columns, &TIME_NAMES, &can_date)
        .or_else(|| named(columns, &STEP_NAMES, &|class| class == Class::Whole))
        // A single datetime column needs no name to be understood.
        .or_else(|| instants.next().filter(|_| instants.next().is_none()))
        .ok_or_else(|| "there is no time column".to_owned())
}

/// Finds the meaning of `columns`; `is_typed` tells that the file declares its types, as Parquet does and CSV does not.
///
/// The error is a short reason, such as "there is no time column".
pub(super) fn find_roles(columns: &[FoundColumn], is_typed: bool) -> Result<Roles, String> {
    let named = |names: &[&str], fits: &dyn Fn(Class) -> bool| named(columns, names, fits);
    let is_number = |class| matches!(class, Class::Whole | Class::Fraction);
    let time = time_of(columns)?;
    let is_truth = |column: &FoundColumn| {
        TRUTH_NAMES.iter().any(|name| column.name.eq_ignore_ascii_case(name)) && column.class != Class::Labels
    };
    let is_known = |column: &FoundColumn| {
        column.name == time.name
            || is_truth(column)
            || KNOWN_EXTRAS.contains(&column.name.as_str())
            || (is_number(column.class) && STEP_NAMES.contains(&column.name.as_str()))
    };
    let rest: Vec<&FoundColumn> = columns.iter().filter(|column| !is_known(column)).collect();
    let all_texts = || rest.iter().filter(|column| column.class == Class::Text).map(|column| column.name.clone());

    // Text values are let through here, so that the error can show the text instead of "no value column".
    let value = named(&VALUE_NAMES, &is_number).or_else(|| named(&VALUE_NAMES, &|class| class == Class::Text));
    let Some(value) = value else {
        let wide: Vec<String> =
            rest.iter().filter(|column| is_number(column.class)).map(|column| column.name.clone()).collect();
        if wide.is_empty() {
            return Err("there is no number column to take values from".to_owned());
        }
        let ignored = rest
            .iter()
            .filter(|column| !is_number(column.class) && column.class != Class::Text)
            .map(|column| column.name.clone())
            .collect();
        return Ok(Roles {
            time: time.name.clone(),
            layout: Layout::Wide { columns: wide, texts: all_texts().collect() },
            ignored,
        });
    };

    let is_text = |class| class == Class::Text;
    let series = named(&SERIES_NAMES, &|class| is_text(class) || class == Class::Whole);
    let metric = named(&METRIC_NAMES, &is_text);
    let map = rest.iter().find(|column| column.class == Class::Labels);
    let mut used = vec![value.name.clone()];
    let identity = if let Some(series) = series {
        used.push(series.name.clone());
        Identity::Name(series.name.clone())
    } else {
        let is_label = |column: &&&FoundColumn| {
            let is_other = column.name != value.name && metric.is_none_or(|metric| metric.name != column.name);
            // CSV knows no types: beside a metric column, `cpu` with 0, 1, 2 is a label like any other.
            is_other && (is_text(column.class) || (!is_typed && metric.is_some() && column.class == Class::Whole))
        };
        let texts: Vec<String> = rest.iter().filter(is_label).map(|column| column.name.clone()).collect();
        if metric.is_none() && map.is_none() && texts.is_empty() {
            Identity::File
        } else {
            let id = columns
                .iter()
                .find(|column| column.name == "series_id" && column.class == Class::Whole && map.is_some())
                .map(|column| column.name.clone());
            used.extend(texts.iter().cloned());
            used.extend(metric.map(|column| column.name.clone()));
            used.extend(map.map(|column| column.name.clone()));
            Identity::Labels {
                metric: metric.map(|column| column.name.clone()),
                map: map.map(|column| column.name.clone()),
                texts,
                id,
            }
        }
    };
    let ignored = rest.iter().filter(|column| !used.contains(&column.name)).map(|column| column.name.clone()).collect();
    Ok(Roles { time: time.name.clone(), layout: Layout::Long { value: value.name.clone(), identity }, ignored })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(spec: &[(&str, Class)]) -> Vec<FoundColumn> {
        spec.iter()
            .map(|(name, class)| FoundColumn { name: (*name).to_owned(), class: *class, type_name: String::new() })
            .collect()
    }

    fn check(spec: &[(&str, Class)], is_typed: bool, time: &str, layout: &Layout, ignored: &[&str]) {
        let roles = find_roles(&columns(spec), is_typed).unwrap();
        assert_eq!((roles.time.as_str(), &roles.layout), (time, layout), "{spec:?}");
        assert_eq!(roles.ignored, ignored, "{spec:?}");
    }

    fn long(value: &str, identity: Identity) -> Layout {
        Layout::Long { value: value.to_owned(), identity }
    }

    #[test]
    fn long_tables_are_told_by_their_value_column() {
        use Class::{Fraction, Instant, Labels, Text, Whole};
        let name = |name: &str| Identity::Name(name.to_owned());
        check(
            &[("series", Text), ("timestamp", Instant), ("value", Fraction), ("label", Whole)],
            true,
            "timestamp",
            &long("value", name("series")),
            &[],
        );
        check(&[("unique_id", Text), ("ds", Text), ("y", Whole)], false, "ds", &long("y", name("unique_id")), &[]);
        check(&[("series", Text), ("t", Whole), ("value", Fraction)], true, "t", &long("value", name("series")), &[]);
        check(
            &[("Time", Whole), ("V", Fraction), ("is_anomaly", Whole)],
            true,
            "Time",
            &long("V", Identity::File),
            &[],
        );
        let labels = Identity::Labels {
            metric: Some("metric".into()),
            map: None,
            texts: vec!["host".into(), "cpu".into()],
            id: None,
        };
        let spec = [("metric", Text), ("host", Text), ("cpu", Whole), ("timestamp", Text), ("value", Fraction)];
        check(&spec, false, "timestamp", &long("value", labels), &[]);
        let block = Identity::Labels {
            metric: Some("metric".into()),
            map: Some("labels".into()),
            texts: vec!["host".into()],
            id: Some("series_id".into()),
        };
        let spec = [
            ("metric", Text),
            ("series_id", Whole),
            ("timestamp", Instant),
            ("value", Fraction),
            ("labels", Labels),
            ("host", Text),
        ];
        check(&spec, true, "timestamp", &long("value", block), &[]);
    }

    #[test]
    fn wide_tables_have_a_series_per_number_column() {
        use Class::{Fraction, Instant, Other, Text, Whole};
        let wide = |columns: &[&str], texts: &[&str]| Layout::Wide {
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            texts: texts.iter().map(|name| (*name).to_owned()).collect(),
        };
        check(
            &[("timestamp", Instant), ("m00", Fraction), ("m01", Whole), ("label", Whole)],
            true,
            "timestamp",
            &wide(&["m00", "m01"], &[]),
            &[],
        );
        check(
            &[("when", Instant), ("host", Text), ("cpu", Fraction), ("ok", Other)],
            true,
            "when",
            &wide(&["cpu"], &["host"]),
            &["ok"],
        );
    }

    #[test]
    fn a_table_that_is_neither_is_refused() {
        use Class::{Fraction, Instant, Text};
        assert!(find_roles(&columns(&[("a", Fraction), ("b", Fraction)]), true).unwrap_err().contains("time"));
        assert!(find_roles(&columns(&[("timestamp", Instant), ("name", Text)]), true).unwrap_err().contains("number"));
        assert!(find_roles(&[], true).is_err());
    }
}
