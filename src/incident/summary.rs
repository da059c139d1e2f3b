//! One sentence about an incident.

use super::cause::Cause;
use super::group::Member;
use crate::series::{Millis, format_duration};

/// The sentence: how many, where, for how long, and what likely started it.
pub(super) fn sentence(members: &[Member], shared: &[(String, String)], causes: &[Cause], lasting: Millis) -> String {
    let n_series = causes.len();
    let what = match (members.len(), n_series) {
        (1, _) => "1 anomaly".to_owned(),
        (n, m) if n == m => format!("{n} series odd together"),
        (n, 1) => format!("{n} anomalies of 1 series"),
        (n, m) => format!("{n} anomalies of {m} series"),
    };
    let place: Vec<String> = shared.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let place = if place.is_empty() { String::new() } else { format!(" at {}", place.join(", ")) };
    let lasting = if lasting > 0 { format!(", over {}", format_duration(lasting)) } else { String::new() };
    let mut text = format!("{what}{place}{lasting}");
    if let Some(cause) = causes.first() {
        let kind = members.iter().find(|m| m.key == cause.key && m.anomaly.start == cause.onset);
        let kind = kind.map_or("anomaly", |member| member.anomaly.kind.as_str());
        text.push_str(&format!("; likely started by {} ({kind})", cause.key));
    }
    if let Some(second) = causes.get(1) {
        let lag = causes.first().map_or(0, |cause| second.onset.saturating_sub(cause.onset));
        let when = match lag {
            0 => "at the same time".to_owned(),
            _ if lag > 0 => format!("{} later", format_duration(lag)),
            _ => format!("{} earlier", format_duration(-lag)),
        };
        text.push_str(&format!(", with {} {when}", second.key));
    }
    text
}
