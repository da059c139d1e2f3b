//! `barograph fsck`: is everything in a data directory what it should be?

use std::path::PathBuf;

use anyhow::anyhow;

use crate::config;
use crate::storage;

use super::Failure;

/// Check a data directory: log, blocks, sidecars, manifest; explain what is wrong
///
/// Reads everything, changes nothing, and wants the directory to itself: stop the server first, or check a snapshot.
/// Exit code 0 when it is sound, 1 when there are findings. What a crash leaves behind is no finding.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  barograph fsck /var/lib/barograph\n  barograph fsck /var/lib/barograph --quarantine\n  \
    barograph fsck /var/lib/barograph --config barograph.yaml"
)]
pub(super) struct Arguments {
    /// The data directory, or a snapshot.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Move what is damaged to DIR/quarantine, so that `serve` opens and serves the rest: of a damaged block, the
    /// samples that can still be read.
    #[arg(long)]
    quarantine: bool,
    /// A configuration with a bucket (`store.s3`): look at the blocks there too.
    #[arg(long, value_name = "F")]
    config: Option<PathBuf>,
    /// Read every block in the bucket from first to last, rather than comparing sizes.
    #[arg(long, requires = "config")]
    read_bucket: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let report = match &arguments.config {
        Some(path) => {
            let s3 = config::load(path)?.store.s3;
            storage::fsck_with_bucket(&arguments.dir, &s3, arguments.read_bucket, arguments.quarantine)?
        }
        None if arguments.quarantine => storage::fsck_and_quarantine(&arguments.dir)?,
        None => storage::fsck(&arguments.dir)?,
    };
    for note in &report.notes {
        println!("note: {note}");
    }
    for finding in &report.findings {
        println!("finding: {finding}");
    }
    println!(
        "{} blocks with {} samples are sound; {} segments of the log with {} samples are replayed at the next start",
        report.n_blocks, report.n_block_samples, report.n_segments, report.n_log_samples
    );
    if report.n_bucket_blocks > 0 {
        println!("{} blocks with {} samples are in the bucket only", report.n_bucket_blocks, report.n_bucket_samples);
    }
    match report.findings.len() {
        0 => Ok(()),
        1 => Err(anyhow!("{}: 1 finding", arguments.dir.display()).into()),
        n => Err(anyhow!("{}: {n} findings", arguments.dir.display()).into()),
    }
}
