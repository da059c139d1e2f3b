//! JSON: one sample object, an array of them, or `{"samples": [...]}`.
//!
//! In: a body in UTF-8. Out: the samples, read one by one without a tree in memory; an element that is valid JSON
//! but no sample is rejected with its number. Broken syntax has no elements to tell apart, so it fails the body,
//! with line and column. `docs/formats/ingest.md` has the format.

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess};

use super::decoded::{Decoded, IngestError, check_size};
use super::limits::Limits;
use super::loose::{Loose, Name, Nested, ReadWith};
use super::sample_object::{Intake, SampleSeed, clip, read_fields};
use crate::series::Millis;

const SHAPES: &str = "send one sample object, an array of them, or {\"samples\": [...]}";

/// Reads a JSON body; a sample without a timestamp gets `now`.
///
/// # Errors
/// When the body is empty, too large, not UTF-8, not JSON, or JSON of another shape.
pub fn decode_json(body: &[u8], limits: &Limits, now: Millis) -> Result<Decoded, IngestError> {
    check_size(body, limits.max_body)?;
    let text = std::str::from_utf8(body).map_err(|error| IngestError::NotUtf8 { offset: error.valid_up_to() })?;
    // Some editors and PowerShell put a byte order mark first.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(IngestError::Empty);
    }
    let mut intake = Intake::new(limits, now, "element");
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read =
        ReadWith(Body { intake: &mut intake }).deserialize(&mut deserializer).map_err(|error| explain(&error, text))?;
    deserializer.end().map_err(|error| explain(&error, text))?;
    match read {
        Loose::Read(None) => Ok(intake.finish()),
        Loose::Read(Some(problem)) => Err(IngestError::Unsupported(problem)),
        other => Err(IngestError::Unsupported(format!("the body is {}; {SHAPES}", other.kind()))),
    }
}

fn explain(error: &serde_json::Error, text: &str) -> IngestError {
    let mut reason = syntax_reason(error, text);
    if reason.starts_with("trailing characters") {
        reason.push_str("; for one object per line set Content-Type: application/x-ndjson");
    }
    IngestError::BadJson { line: error.line(), column: error.column(), reason }
}

/// What serde_json says of `text`, without the place, which is told otherwise.
pub(super) fn syntax_reason(error: &serde_json::Error, text: &str) -> String {
    let told = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let told = told.strip_suffix(&place).unwrap_or(&told);
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default().as_bytes();
    // Many programs write numbers that JSON does not have.
    let is_word = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'+' | b'-');
    let at = error.column().saturating_sub(1).min(line.len());
    let start = line[..at].iter().rposition(|byte| !is_word(byte)).map_or(0, |before| before + 1);
    let word: Vec<u8> = line[start..].iter().copied().take_while(is_word).collect();
    match word.to_ascii_lowercase().as_slice() {
        b"nan" | b"inf" | b"+inf" | b"-inf" | b"infinity" | b"+infinity" | b"-infinity" => {
            format!("{told}; JSON has no such number, so write it in quotes: \"NaN\", \"+Inf\" or \"-Inf\"")
        }
        _ => told.to_owned(),
    }
}

/// The elements of an array of samples.
struct Elements<'i, 'l> {
    intake: &'i mut Intake<'l>,
}

impl<'de> Nested<'de> for Elements<'_, '_> {
    type Read = ();

    fn array<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose<'de>, A::Error> {
        let max_labels = self.intake.max_labels();
        let mut place = 0;
        while let Some(read) = seq.next_element_seed(SampleSeed { max_labels })? {
            place += 1;
            self.intake.take(place, read);
        }
        Ok(Loose::Read(()))
    }
}

/// The whole body; answers the problem with its shape, if there is one.
///
/// A wrong shape is a value, not a serde error, so that it is not told as broken syntax.
struct Body<'i, 'l> {
    intake: &'i mut Intake<'l>,
}

impl<'de> Nested<'de> for Body<'_, '_> {
    type Read = Option<String>;

    fn array<A: SeqAccess<'de>>(self, seq: A) -> Result<Loose<'de, Self::Read>, A::Error> {
        Elements { intake: self.intake }.array(seq)?;
        Ok(Loose::Read(None))
    }

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose<'de, Self::Read>, A::Error> {
        let first: Option<Name<'de>> = map.next_key()?;
        if first.as_ref().is_none_or(|first| first.0 != "samples") {
            let max_labels = self.intake.max_labels();
            let read = read_fields(first, &mut map, max_labels)?;
            self.intake.take(1, read);
            return Ok(Loose::Read(None));
        }
        let mut problem = match map.next_value_seed(ReadWith(Elements { intake: self.intake }))? {
            Loose::Read(()) => None,
            other => Some(format!("`samples` is {}, not an array; {SHAPES}", other.kind())),
        };
        while let Some((Name(name), _)) = map.next_entry::<Name<'de>, IgnoredAny>()? {
            problem.get_or_insert_with(|| format!("unknown field `{}` beside `samples`; {SHAPES}", clip(&name)));
        }
        Ok(Loose::Read(problem))
    }
}

#[cfg(test)]
mod tests;
