//! What is known of this metric beforehand? The shipped presets of `models/`, by selector.
