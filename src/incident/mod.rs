//! Which anomalies belong together, and what started it?
