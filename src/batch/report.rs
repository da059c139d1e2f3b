//! An analysis told to a person, as Markdown, or to a program, as JSON.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::capacity::{Assessment, Exhaustion};
use crate::series::{MetricKind, Millis, format_duration};

use super::analyze::{Analysis, outcome_word};
use super::rows::{Axis, Source};
use super::times::rfc3339;
use super::write::{WriteError, short, write_whole};

/// Rows per section of a Markdown report; the Parquet beside it has them all.
const MOST_TOLD: usize = 50;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// For people.
    Markdown,
    /// For programs.
    Json,
}

/// A report file of another kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: cannot write this kind of report; the known kinds are .md and .json", path.display())]
pub struct UnknownReport {
    /// What was asked for.
    pub path: PathBuf,
}

impl ReportFormat {
    /// By extension.
    ///
    /// # Errors
    /// For any other than `.md` and `.json`.
    pub fn of_path(path: &Path) -> Result<ReportFormat, UnknownReport> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("md") => Ok(ReportFormat::Markdown),
            Some("json") => Ok(ReportFormat::Json),
            _ => Err(UnknownReport { path: path.to_owned() }),
        }
    }
}

/// Writes the report to `path`, whole or not at all.
///
/// # Errors
/// When the disk refuses.
pub fn write_report(analysis: &Analysis, path: &Path, format: ReportFormat) -> Result<(), WriteError> {
    let text = match format {
        ReportFormat::Markdown => markdown(analysis),
        ReportFormat::Json => format!("{:#}\n", to_json(analysis)),
    };
    write_whole(path, |file| Ok(file.write_all(text.as_bytes())?))
}

fn instant(source: &Source, at: Millis) -> String {
    match source.axis {
        Axis::Time => rfc3339(at),
        Axis::Steps => format!("step {}", at / Axis::STEP.millis()),
    }
}

fn date(at: Option<Millis>) -> String {
    at.map_or_else(|| "beyond the horizon".to_owned(), |at| rfc3339(at)[..10].to_owned())
}

/// When the limit is reached, in words.
fn when(assessment: &Assessment) -> String {
    match &assessment.exhaustion {
        Exhaustion::Crossed { since: Some(since) } => format!("crossed since {}", rfc3339(*since)),
        Exhaustion::Crossed { since: None } => "crossed".to_owned(),
        Exhaustion::Expected { p10, p50, p90 } => {
            format!("{} (10 %: {}, 90 %: {})", date(*p50), date(*p10), date(*p90))
        }
        Exhaustion::NotGrowing => "not growing".to_owned(),
        Exhaustion::Unknown { reason } => format!("unknown, because {reason}"),
    }
}

/// The report as Markdown.
pub fn markdown(analysis: &Analysis) -> String {
    let mut text = String::from("# Analysis\n\n");
    let span = analysis.span.map_or(String::new(), |(first, last)| {
        format!(", from {} to {} ({})", rfc3339(first), rfc3339(last), format_duration(last - first))
    });
    let n_forecasts = analysis.forecasts.iter().filter(|forecast| forecast.is_ok()).count();
    text.push_str(&format!(
        "{} samples of {} series{span}.\n\n\
         | | |\n|---|---|\n| forecasts | {n_forecasts} |\n| anomalies | {} |\n\
         | incidents | {} |\n| series with a limit | {} |\n",
        analysis.n_rows,
        analysis.sources.len(),
        analysis.anomalies.len(),
        analysis.incidents.len(),
        analysis.capacity.len(),
    ));

    text.push_str("\n## Capacity\n\n");
    if analysis.capacity.is_empty() {
        text.push_str("No series has a limit; give one with `--limit 'SELECTOR=VALUE'`.\n");
    } else {
        text.push_str("| series | now | limit | reached | advice |\n|---|---|---|---|---|\n");
        for (idx, it) in analysis.capacity.iter().take(MOST_TOLD) {
            let name = title(analysis, *idx);
            let (now, limit) = (short(it.level), short(it.limit.value));
            text.push_str(&format!("| {name} | {now} | {limit} | {} | {} |\n", when(it), escaped(&it.recommendation)));
        }
        and_more(&mut text, analysis.capacity.len());
    }

    text.push_str("\n## Incidents\n\n");
    if analysis.incidents.is_empty() {
        text.push_str("None.\n");
    }
    // The newest are the ones still worth acting on.
    for incident in analysis.incidents.iter().rev().take(MOST_TOLD) {
        let state = if incident.is_open { "still open" } else { "over" };
        text.push_str(&format!(
            "### {} to {} ({state})\n\n{}\n\n",
            rfc3339(incident.start),
            rfc3339(incident.end),
            escaped(&incident.summary)
        ));
        for cause in incident.causes.iter().take(5) {
            text.push_str(&format!(
                "- {} at {}, {} after the first, strength {:.2}: {}\n",
                escaped(&cause.key.to_string()),
                rfc3339(cause.onset),
                format_duration(cause.lag),
                cause.strength,
                escaped(&cause.reason)
            ));
        }
        text.push('\n');
    }
    and_more(&mut text, analysis.incidents.len());

    text.push_str("\n## Anomalies\n\n");
    let mut worst: Vec<_> = analysis.anomalies.iter().collect();
    worst.sort_by(|a, b| b.1.score.total_cmp(&a.1.score));
    if worst.is_empty() {
        text.push_str("None.\n");
    } else {
        text.push_str("The highest scores first.\n\n");
        text.push_str("| series | from | to | kind | score | explanation |\n|---|---|---|---|---|---|\n");
        for (idx, it) in worst.iter().take(MOST_TOLD) {
            let source = &analysis.sources[*idx];
            text.push_str(&format!(
                "| {} | {} | {} | {} | {:.2} | {} |\n",
                title(analysis, *idx),
                instant(source, it.start),
                instant(source, it.end),
                it.kind.as_str(),
                it.score,
                escaped(&it.explanation)
            ));
        }
        and_more(&mut text, worst.len());
    }

    text.push_str("\n## Forecasts\n\n");
    text.push_str(
        "| series | model | heading | next | in the end | band | error / baseline |\n|---|---|---|---|---|---|---|\n",
    );
    for (idx, forecast) in analysis.forecasts.iter().enumerate().take(MOST_TOLD) {
        let name = title(analysis, idx);
        match forecast {
            Ok(it) => {
                let last = it.points.len() - 1;
                let band = it.band.as_ref().map_or("none".to_owned(), |band| {
                    format!("{} to {}", short(band.lower[last]), short(band.upper[last]))
                });
                let error = it.accuracy.as_ref().map_or("too short to replay".to_owned(), |accuracy| {
                    format!("{} / {}", short(accuracy.mae), short(accuracy.baseline_mae))
                });
                text.push_str(&format!(
                    "| {name} | {} | {} | {} | {} | {band} | {error} |\n",
                    it.model,
                    it.direction.heading.as_str(),
                    short(it.points[0]),
                    short(it.points[last]),
                ));
            }
            Err(failure) => text.push_str(&format!("| {name} | none: {} | | | | | |\n", escaped(&failure.to_string()))),
        }
    }
    and_more(&mut text, analysis.sources.len());
    text
}

/// The name of a series, and what its values are where they are not those of the files.
fn title(analysis: &Analysis, idx: usize) -> String {
    let unit = match analysis.kinds[idx] {
        MetricKind::Gauge => "",
        MetricKind::Counter => ", per second",
    };
    escaped(&analysis.sources[idx].name) + unit
}

fn and_more(text: &mut String, n_all: usize) {
    if n_all > MOST_TOLD {
        text.push_str(&format!("\nAnd {} more in the Parquet files.\n", n_all - MOST_TOLD));
    }
}

/// Text that cannot end a table cell.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// The report as JSON: the same sections, whole.
pub fn to_json(analysis: &Analysis) -> serde_json::Value {
    let name = |idx: usize| analysis.sources[idx].name.as_str();
    // Null rather than a number that JSON cannot hold.
    let number = |number: f64| serde_json::Number::from_f64(number);
    let capacity: Vec<_> = analysis
        .capacity
        .iter()
        .map(|(idx, it)| {
            let (p10, p50, p90) = match it.exhaustion {
                Exhaustion::Expected { p10, p50, p90 } => (p10, p50, p90),
                Exhaustion::Crossed { .. } | Exhaustion::NotGrowing | Exhaustion::Unknown { .. } => (None, None, None),
            };
            let headroom: Vec<_> = it
                .headroom
                .iter()
                .map(|room| json!({"after": format_duration(room.after), "value": room.value, "share": room.share}))
                .collect();
            json!({
                "series": name(*idx), "level": number(it.level), "limit": number(it.limit.value),
                "outcome": outcome_word(&it.exhaustion), "when": when(it), "probability": it.probability,
                "p10": p10.map(rfc3339), "p50": p50.map(rfc3339), "p90": p90.map(rfc3339), "headroom": headroom,
                "recommendation": it.recommendation, "amount": it.amount, "slope_per_day": number(it.slope_per_day),
            })
        })
        .collect();
    let incidents: Vec<_> = analysis
        .incidents
        .iter()
        .map(|it| {
            let causes: Vec<_> = it
                .causes
                .iter()
                .map(|cause| {
                    json!({
                        "series": cause.key.to_string(), "onset": rfc3339(cause.onset),
                        "lag": format_duration(cause.lag), "strength": cause.strength, "reason": cause.reason,
                    })
                })
                .collect();
            json!({
                "id": it.id, "start": rfc3339(it.start), "end": rfc3339(it.end), "open": it.is_open,
                "summary": it.summary, "causes": causes,
                "shared_labels": it.shared_labels.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
                "members": it.members.iter().map(|member| member.key.to_string()).collect::<Vec<_>>(),
            })
        })
        .collect();
    let anomalies: Vec<_> = analysis
        .anomalies
        .iter()
        .map(|(idx, it)| {
            let source = &analysis.sources[*idx];
            json!({
                "series": name(*idx), "start": instant(source, it.start), "end": instant(source, it.end),
                "open": it.is_open, "kind": it.kind.as_str(), "score": it.score, "value": number(it.value),
                "expected": it.expected, "lo": it.lower, "hi": it.upper, "detector": it.detector,
                "explanation": it.explanation,
            })
        })
        .collect();
    let forecasts: Vec<_> = analysis
        .forecasts
        .iter()
        .enumerate()
        .map(|(idx, forecast)| match forecast {
            Ok(it) => json!({
                "series": name(idx), "kind": analysis.kinds[idx].as_str(), "model": it.model,
                "start": instant(&analysis.sources[idx], it.at(0)), "step": it.step.to_string(), "points": it.points,
                "lo": it.band.as_ref().map(|band| &band.lower), "hi": it.band.as_ref().map(|band| &band.upper),
                "band_reason": it.band_reason, "season": it.season, "fallback": it.fallback,
                "heading": it.direction.heading.as_str(),
                "mae": it.accuracy.as_ref().map(|accuracy| accuracy.mae),
                "baseline_mae": it.accuracy.as_ref().map(|accuracy| accuracy.baseline_mae),
                "coverage": it.accuracy.as_ref().and_then(|accuracy| accuracy.coverage),
            }),
            Err(failure) => json!({"series": name(idx), "error": failure.to_string()}),
        })
        .collect();
    json!({
        "n_samples": analysis.n_rows, "n_series": analysis.sources.len(),
        "start": analysis.span.map(|(first, _)| rfc3339(first)), "end": analysis.span.map(|(_, last)| rfc3339(last)),
        "capacity": capacity, "incidents": incidents, "anomalies": anomalies, "forecasts": forecasts,
    })
}
