//! Reads a file of known columns, and refuses one that contradicts itself.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Known, KnownColumns, moment};
use crate::batch::read::{ReadError, read_known};
use crate::batch::rows::Source;
use crate::series::{Millis, Sample, resolve};

impl KnownColumns {
    /// Reads a file of what is known of `sources`.
    ///
    /// # Errors
    /// When it cannot be read, has no time column or no number column, or two numbers for the same series and moment.
    pub fn load(path: &Path, sources: &[Source]) -> Result<KnownColumns, ReadError> {
        if !path.exists() {
            return Err(ReadError::NotFound { path: path.to_owned() });
        }
        let labels: BTreeSet<&str> =
            sources.iter().flat_map(|source| source.key.labels().without_metric().map(|(name, _)| name)).collect();
        let rows = read_known(path, &labels)?;
        let all = rows.samples();
        refuse_two_numbers(path, &rows.sources, &all)?;
        let of = |(source, samples): (&Source, Vec<Sample>)| Known {
            name: source.key.metric().to_owned(),
            narrowed: source.key.labels().without_metric().map(|(name, text)| (name.into(), text.into())).collect(),
            axis: source.axis,
            samples: resolve(&samples),
        };
        let columns = rows.sources.iter().zip(all).map(of);
        // Rows that are narrowed alike may have numbers in some columns only.
        let is_said = |known: &Known| known.samples.iter().any(|sample| sample.value.is_finite());
        Ok(KnownColumns { path: path.to_owned(), columns: columns.filter(is_said).collect(), notes: rows.notes })
    }
}

/// Of several rows that are narrowed alike, only one can have a column's number of a moment: mostly another column was
/// to say which series each is of.
fn refuse_two_numbers(path: &Path, sources: &[Source], samples: &[Vec<Sample>]) -> Result<(), ReadError> {
    let mut found: Vec<(&Source, Millis, (f64, f64))> = Vec::new();
    for (source, samples) in sources.iter().zip(samples) {
        let mut known: Vec<&Sample> = samples.iter().filter(|sample| sample.value.is_finite()).collect();
        known.sort_by_key(|sample| sample.at);
        let mut pairs = known.windows(2).map(|pair| (pair[0], pair[1]));
        let two = pairs.find(|(one, other)| one.at == other.at && one.value != other.value);
        found.extend(two.map(|(one, other)| (source, one.at, (one.value, other.value))));
    }
    let column = |source: &Source| source.key.metric().to_owned();
    // Labels are whole numbers, and more of them than a yes and a no.
    let all_are = |name: &str, is: fn(f64) -> bool| {
        let of_column = sources.iter().zip(samples).filter(|(source, _)| source.key.metric() == name);
        of_column.flat_map(|(_, samples)| samples).all(|sample| sample.value.is_nan() || is(sample.value))
    };
    let is_label = |name: &String| {
        all_are(name, |value| value.fract() == 0.0) && !all_are(name, |value| value == 0.0 || value == 1.0)
    };
    let label = found.iter().map(|(source, ..)| column(source)).find(is_label);
    let told = found.iter().find(|(source, ..)| Some(column(source)) != label);
    let Some(&(source, at, numbers)) = told.or(found.first()) else { return Ok(()) };
    let by_text = "a text column, such as `series` or a label, says";
    // A label beside nothing else would be of nothing.
    let label = label.filter(|label| sources.iter().any(|source| source.key.metric() != label));
    let hint = match label {
        None => format!("{by_text} which series a row is of"),
        Some(label) => {
            let mut hint = format!("if `{label}` says which series a row is of, call it as their label is called");
            // Where the other numbers are alike, it is all that contradicts itself, and may as well be a number.
            if told.is_none() {
                hint.push_str(&format!("; if it is a number, {by_text} it"));
            }
            hint
        }
    };
    let at = moment(source.axis, at);
    Err(ReadError::TwoNumbers { path: path.to_owned(), column: column(source), at, numbers, hint })
}
