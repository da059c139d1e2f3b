//! The standing loop: score every sample, refresh models and forecasts, keep results.
