//! Which anomalies belong together, and what started it?

mod group;

pub use group::{Cause, GroupSettings, Incident, Member, group};
