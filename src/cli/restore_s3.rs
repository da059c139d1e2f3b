//! `barograph restore-s3`: from a bucket alone to a data directory.

use std::path::PathBuf;

use crate::config;
use crate::storage;

use super::Failure;

/// Make a data directory from what is in the bucket, and check it
///
/// Copies every block by default; the bucket stays as it is. With --take-over the blocks stay in the bucket, which
/// belongs to the new directory from then on: for when the old machine is gone for good.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  barograph restore-s3 --config barograph.yaml /var/lib/barograph\n  \
    barograph restore-s3 --config barograph.yaml --take-over /var/lib/barograph")]
pub(super) struct Arguments {
    /// The configuration whose `store.s3` names the bucket and prefix.
    #[arg(long, value_name = "F")]
    config: PathBuf,
    /// Copy the blocks' indexes only, and make the bucket this directory's.
    #[arg(long)]
    take_over: bool,
    /// The new data directory: empty, or not there yet.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = config::load(&arguments.config)?;
    let restored = storage::restore_from_bucket(&config.store.s3, &arguments.dir, arguments.take_over)?;
    let report = &restored.report;
    println!(
        "{}: {} samples in {} blocks here, {} samples in {} blocks in the bucket, {} files copied ({} bytes of blocks), \
         and the check finds nothing wrong",
        arguments.dir.display(),
        report.n_block_samples,
        report.n_blocks,
        report.n_bucket_samples,
        report.n_bucket_blocks,
        restored.n_files,
        restored.n_bytes
    );
    Ok(())
}
