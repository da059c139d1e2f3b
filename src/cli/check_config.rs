//! `barograph check-config`: would `serve` accept this file?

use std::path::PathBuf;

use crate::config;
use crate::presets::Presets;

use super::Failure;

/// Check a configuration file without starting anything
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  barograph check-config barograph.yaml")]
pub(super) struct Arguments {
    /// The YAML file; `${VAR}` and `${VAR:-default}` are filled in from the environment.
    #[arg(value_name = "F")]
    file: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = config::load(&arguments.file)?;
    Presets::load(&config.presets)
        .map_err(|error| anyhow::anyhow!("{}: presets: {error}", arguments.file.display()))?;
    println!("{}: good; data in {}, listening on {}", arguments.file.display(), config.data.display(), config.listen);
    Ok(())
}
