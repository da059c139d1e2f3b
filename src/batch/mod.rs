//! The same analysis over historical Parquet and CSV: files in, tables out.
//!
//! In: files, globs and directories with long or wide tables ([`read`]), read by polars.
//! Out: [`Table`]s of forecasts, scores, anomalies, incidents and capacity, written whole or not at all
//! ([`Table::write`]).
//! Relies on the numeric rooms for every number; this room only cuts the work into series, spreads them over the
//! cores and puts the answers back in order.

mod input;
mod parallel;
mod read;
mod roles;
mod rows;
mod table;
mod times;
mod write;

pub use input::{InputFile, expand};
pub use parallel::{n_workers, spread};
pub use read::{Matrix, ReadError, read, read_matrix};
pub use rows::{Axis, Rows, Source};
pub use table::{Column, Table};
pub use write::{Format, WriteError, write_whole};
