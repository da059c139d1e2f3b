//! `barograph fsck`: is everything in a data directory what it should be?

use std::path::PathBuf;

use anyhow::anyhow;

use crate::storage;

use super::Failure;

/// Check a data directory: log, blocks, sidecars, manifest; explain what is wrong
///
/// Reads everything, changes nothing, and wants the directory to itself: stop the server first, or check a snapshot.
/// Exit code 0 when it is sound, 1 when there are findings. What a crash leaves behind is no finding.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  barograph fsck /var/lib/barograph\n  barograph fsck /var/lib/barograph --quarantine"
)]
pub(super) struct Arguments {
    /// The data directory, or a snapshot.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Move what is damaged to DIR/quarantine, so that `serve` opens and serves the rest: of a damaged block, the
    /// samples that can still be read.
    #[arg(long)]
    quarantine: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let check = if arguments.quarantine { storage::fsck_and_quarantine } else { storage::fsck };
    let report = check(&arguments.dir)?;
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
    match report.findings.len() {
        0 => Ok(()),
        1 => Err(anyhow!("{}: 1 finding", arguments.dir.display()).into()),
        n => Err(anyhow!("{}: {n} findings", arguments.dir.display()).into()),
    }
}
