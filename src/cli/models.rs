//! `barograph models`: what there is to choose from, straight from the registries.

use std::io::Write;

use crate::detect::{DETECTORS, MATRIX_DETECTORS};
use crate::forecast::FORECASTERS;

use super::Failure;

/// List every forecaster and detector, one line each
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  barograph models")]
pub(super) struct Arguments {}

pub(super) fn run(_arguments: &Arguments) -> Result<(), Failure> {
    let forecasters = FORECASTERS.iter().map(|entry| (entry.name, entry.summary)).collect();
    let detectors = DETECTORS.iter().map(|entry| (entry.name, entry.summary)).collect();
    let matrix_detectors = MATRIX_DETECTORS.iter().map(|entry| (entry.name, entry.summary)).collect();
    let sections: [(&str, Vec<(&str, &str)>); 3] = [
        ("Forecasters (forecast --model, backtest --model)", forecasters),
        ("Detectors (detect --detector, backtest --detector)", detectors),
        ("Multivariate detectors (detect --multivariate --detector)", matrix_detectors),
    ];
    let width = sections.iter().flat_map(|(_, entries)| entries).map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut out = std::io::stdout().lock();
    for (nth, (title, entries)) in sections.iter().enumerate() {
        if nth > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{title}")?;
        for (name, summary) in entries {
            writeln!(out, "  {name:width$}  {summary}")?;
        }
    }
    Ok(())
}
