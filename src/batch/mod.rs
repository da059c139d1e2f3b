//! The same analysis over historical Parquet and CSV.
