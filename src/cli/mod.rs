//! The outside by command line: one file per command.
//!
//! In: arguments. Out: an exit code, 0 done, 1 failed, 2 bad usage, with every error on standard error saying what is
//! wrong, where, and what to do. What a command prints for people goes to standard output, progress and warnings to
//! standard error.

mod analyze;
mod arguments;
mod backtest;
mod check_config;
mod demo;
mod detect;
mod forecast;
mod fsck;
mod models;
mod progress;
mod restore;
mod restore_s3;
mod serve;
mod snapshot;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Records your metrics as plain Parquet, forecasts them, finds what is odd, and says what runs out and when.
#[derive(Debug, Parser)]
#[command(name = "barograph", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Serve(serve::Arguments),
    Forecast(forecast::Arguments),
    Detect(detect::Arguments),
    Analyze(analyze::Arguments),
    Backtest(backtest::Arguments),
    Models(models::Arguments),
    CheckConfig(check_config::Arguments),
    Fsck(fsck::Arguments),
    Snapshot(snapshot::Arguments),
    Restore(restore::Arguments),
    #[command(name = "restore-s3")]
    RestoreS3(restore_s3::Arguments),
}

/// Why a command did not do its work.
#[derive(Debug)]
enum Failure {
    /// The arguments do not make sense; exit code 2.
    Usage(String),
    /// They do, but it did not work; exit code 1.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Failed(error.into())
    }
}

/// Runs the command that the arguments ask for.
pub fn run() -> ExitCode {
    let program = Program::parse();
    start_log(matches!(program.command, Command::Serve(_)));
    let outcome = match program.command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Forecast(arguments) => forecast::run(&arguments),
        Command::Detect(arguments) => detect::run(&arguments),
        Command::Analyze(arguments) => analyze::run(&arguments),
        Command::Backtest(arguments) => backtest::run(&arguments),
        Command::Models(arguments) => models::run(&arguments),
        Command::CheckConfig(arguments) => check_config::run(&arguments),
        Command::Fsck(arguments) => fsck::run(&arguments),
        Command::Snapshot(arguments) => snapshot::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::RestoreS3(arguments) => restore_s3::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(error)) => {
            eprintln!("error: {}", told(&error));
            ExitCode::from(1)
        }
        Err(Failure::Usage(reason)) => {
            eprintln!("error: {reason}\n\nFor more information, try '--help'.");
            ExitCode::from(2)
        }
    }
}

/// An error and its causes on one line, leaving out a cause that the one before it has told already.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if !text.contains(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    text
}

/// The log goes to standard error; RUST_LOG says how much. A server tells what it does, other commands only warn.
fn start_log(is_server: bool) {
    let usual = if is_server { "warn,barograph=info" } else { "error,barograph=warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| usual.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn an_error_is_told_once() {
        let source = std::io::Error::other("no room");
        let error = anyhow::Error::new(source).context("cannot write: no room; free some").context("saving");
        assert_eq!(told(&error), "saving: cannot write: no room; free some");
        assert_eq!(told(&anyhow::anyhow!("a").context("b")), "b: a");
    }

    #[test]
    fn arguments_hold_together_and_every_help_has_an_example() {
        let mut program = Program::command();
        program.build();
        program.clone().debug_assert();
        for command in program.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example"), "{}", command.get_name());
            assert!(help.contains(&format!("barograph {}", command.get_name())), "{}", command.get_name());
        }
    }
}
