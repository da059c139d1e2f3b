//! The outside by HTTP: one file per resource.
