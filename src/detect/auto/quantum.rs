//! The smallest step that a series keeps taking.

/// The smallest step that a series keeps taking: what is below it, rounding hides.
#[derive(Debug, Default)]
pub(super) struct Quantum {
    step: f64,
    n: u32,
}

impl Quantum {
    /// Steps of one size that make it a habit.
    const HABIT: u32 = 6;

    pub(super) fn sigma(&self) -> f64 {
        if self.n >= Self::HABIT { self.step / 12.0_f64.sqrt() } else { 0.0 }
    }

    pub(super) fn learn(&mut self, moved: f64, is_odd: bool) {
        let size = moved.abs();
        if size == 0.0 {
            return;
        }
        if self.n == 0 || size < 0.5 * self.step {
            // An odd sample's way there and back is no habit of the series until it happens again and again.
            (self.step, self.n) = (size, 1);
        } else if size < 2.0 * self.step {
            self.step = self.step.min(size);
            self.n = self.n.saturating_add(if is_odd && self.n > Self::HABIT { 0 } else { 1 });
        }
    }
}
