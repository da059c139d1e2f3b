//! Is it safe, is it small, can I find it? A log, a memtable, blocks of Parquet, and a manifest that says what is live.
//!
//! In: batches of samples. Out: an acknowledgement once they are durable, and series by matchers and time.
//! One writer thread owns the log and commits for everybody who waits; one thread turns memtables into blocks, and
//! one merges blocks and lets old ones go. Of two samples of a series with the same timestamp the later arrival wins,
//! in memory, across blocks and after a replay alike.
//!
//! Everything on disk is described to the byte in `docs/formats/`. All access to files goes through one trait, so that
//! tests can fail any call and forget what was not synced.

mod aside;
mod block;
mod bytes;
mod commit;
mod compaction;
mod deletes;
mod durable;
mod error;
mod figures;
mod files;
mod fsck;
mod keeper;
mod layout;
mod lock;
mod manifest;
mod memtable;
mod merge;
mod open;
mod parallel;
mod plan;
mod postings;
mod remote;
mod retire;
mod salvage;
mod select;
mod settings;
mod shared;
mod snapshot;
mod store;
mod table;
mod texts;
mod tiers;
mod view;
mod wal;

#[cfg(test)]
mod tests;

pub use durable::write_durably;
pub use error::{AppendError, BlockError, FlushError, OpenError, SelectError};
pub use figures::{Figures, RemoteFigures};
pub use fsck::{Finding, Lost, Report, fsck, fsck_and_quarantine, fsck_with_bucket};
pub use remote::{RemoteError, RemoteSettings, restore_from_bucket};
pub use retire::Deleted;
pub use settings::{Ack, StoreSettings};
pub use snapshot::{RestoreError, Restored, Snapshot, restore};
pub use store::{Appended, Store};
pub use tiers::{Downsampled, Tier, Window, Windows};
