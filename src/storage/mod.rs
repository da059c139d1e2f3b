//! Is it safe, is it small, can I find it? A log, a memtable, blocks of Parquet, and a manifest that says what is live.
//!
//! In: batches of samples. Out: an acknowledgement once they are durable, and series by matchers and time.
//! One writer thread owns the log and commits for everybody who waits; one more turns memtables into blocks, merges
//! blocks and lets old ones go. Of two samples of a series with the same timestamp the later arrival wins, in memory,
//! across blocks and after a replay alike.

mod durable;
mod error;
mod figures;
mod settings;
mod store;

pub use durable::write_durably;
pub use error::{AppendError, BlockError, FlushError, OpenError, SelectError};
pub use figures::Figures;
pub use settings::{Ack, StoreSettings};
pub use store::{Appended, Store};
