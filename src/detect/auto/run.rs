//! How long, and how far, a series has been beyond its band on one side.

/// Samples in a row beyond the band on one side.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) n: usize,
    sum: f64,
}

impl Run {
    pub(super) fn step(&mut self, off: f64, is_beyond: bool) {
        if !is_beyond || (self.n > 0 && off.signum() != self.sum.signum()) {
            *self = Run::default();
        }
        if is_beyond {
            self.n += 1;
            self.sum += off;
        }
    }

    pub(super) fn mean(&self) -> f64 {
        self.sum / self.n.max(1) as f64
    }
}
