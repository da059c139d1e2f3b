//! Which anomalies belong together, and what started it?
//!
//! In: anomalies with the series they are of, in any order.
//! Out: [`Incident`]s in the order of their start: members, what labels they share, and the members again as likely
//! causes, ranked. No clock, no graph of services: what is known is when, where and how strongly each began.
//!
//! - [`closeness`] says how far two anomalies are from each other, in time and in labels.
//! - [`group`] clusters them by that distance with linfa's DBSCAN.
//! - [`cause`] ranks an incident's members.

mod cause;
mod closeness;
mod group;
mod summary;

pub use cause::Cause;
pub use group::{GroupSettings, Incident, Member, group};

#[cfg(test)]
mod tests;
