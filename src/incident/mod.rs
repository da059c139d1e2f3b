//! Which anomalies belong together, and what started it?
//!
//! In: anomalies with the series they are of, in any order.
//! Out: [`Incident`]s in the order of their start: members, what labels they share, and the members again as likely
//! causes, ranked. No clock, no graph of services: what is known is when, where and how strongly each began, and what
//! began together before.
//!
//! - [`evidence`] says what the labels of two anomalies have to say.
//! - [`habits`] remembers what alarmed together, and how much alarms at all.
//! - [`closeness`] makes a distance of both and of the time between.
//! - [`cluster`] clusters by that distance with linfa's DBSCAN.
//! - [`group`] makes incidents of the clusters.
//! - [`cause`] ranks an incident's members.

mod cause;
mod closeness;
mod cluster;
mod evidence;
mod group;
mod habits;
mod summary;

pub use cause::Cause;
pub use group::{GroupSettings, Incident, Member, group, group_after};

#[cfg(test)]
mod tests;
