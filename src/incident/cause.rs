//! Which member is likely to have started the incident?
//!
//! In: an incident's members. Out: one [`Cause`] per series, the likeliest first.
//!
//! Half of the strength is how far the series was off, half is how early it began. Source: comparisons of root-cause
//! methods on microservice benchmarks (BARO, Pham et al. 2024, and the studies it cites) find the scaled deviation
//! hard to beat, and causal graphs little better than chance; the onset breaks its ties.

use super::group::Member;
use crate::series::{Key, Millis, format_duration};

/// Scores beyond this say no more.
const MOST: f64 = 50.0;

/// A member as a likely cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// Which series.
    pub key: Key,
    /// When its anomaly began.
    pub onset: Millis,
    /// How long after the first onset of the incident.
    pub lag: Millis,
    /// How likely it started the incident, 0 to 1, from its score and its onset.
    pub strength: f64,
    /// Why it stands where it stands.
    pub reason: String,
}

/// Ranks the series of `members`, which stand by onset. A lag of `patience` makes the onset count for 1/e.
pub(super) fn rank(members: &[Member], patience: Millis) -> Vec<Cause> {
    let Some(first) = members.first().map(|member| member.anomaly.start) else {
        return Vec::new();
    };
    let mut causes: Vec<Cause> = Vec::new();
    for member in members {
        let lag = member.anomaly.start.saturating_sub(first);
        let early = (-(lag as f64) / patience.max(1) as f64).exp();
        let size = member.anomaly.score.clamp(0.0, MOST).ln_1p() / MOST.ln_1p();
        let strength = 0.5 * size + 0.5 * early;
        let cause =
            Cause { key: member.key.clone(), onset: member.anomaly.start, lag, strength, reason: reason(member, lag) };
        match causes.iter_mut().find(|known| known.key == cause.key) {
            Some(known) if known.strength < strength => *known = cause,
            Some(_) => {}
            None => causes.push(cause),
        }
    }
    // Stable, so that equals keep the order of their onset.
    causes.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    causes
}

fn reason(member: &Member, lag: Millis) -> String {
    let anomaly = &member.anomaly;
    let when =
        if lag == 0 { "among the first".to_owned() } else { format!("{} after the first", format_duration(lag)) };
    format!("{} with score {:.1}, {when}: {}", anomaly.kind.as_str(), anomaly.score, anomaly.explanation)
}
