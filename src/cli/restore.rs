//! `barograph restore`: from a snapshot to a data directory.

use std::path::PathBuf;

use crate::storage;

use super::Failure;

/// Copy a snapshot into an empty directory and check the copy
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  barograph restore /var/lib/barograph/snapshots/01KAJ2V0W3Q6S8N7M5R4T1Y9ZC /var/lib/barograph-restored"
)]
pub(super) struct Arguments {
    /// The snapshot; a data directory that nobody has open will do too.
    #[arg(value_name = "SNAPSHOT")]
    snapshot: PathBuf,
    /// The new data directory: empty, or not there yet.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let restored = storage::restore(&arguments.snapshot, &arguments.dir)?;
    let n_samples = restored.report.n_block_samples + restored.report.n_log_samples;
    println!(
        "{}: {n_samples} samples in {} blocks, {} files copied ({} bytes), and the check finds nothing wrong",
        arguments.dir.display(),
        restored.report.n_blocks,
        restored.n_files,
        restored.n_bytes
    );
    Ok(())
}
