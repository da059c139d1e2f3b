//! The outside by command line: one file per command.
