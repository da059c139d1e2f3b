//! How far a sample lies from the one before.

use super::edge::Edge;

/// Differences between neighbours, for series whose neighbours are alike.
#[derive(Debug)]
pub(super) struct Jump {
    /// The last value that was no jump itself, so that the way back from a spike is none either.
    pub(super) reference: Option<f64>,
    variance: f64,
    n_away: u32,
    n: u32,
    edge: Edge,
}

impl Default for Jump {
    fn default() -> Self {
        Jump { reference: None, variance: 0.0, n_away: 0, n: 0, edge: Edge::of_moves() }
    }
}

impl Jump {
    const WEIGHT: f64 = 0.003_46;
    const CLIP: f64 = 3.0;
    /// Samples after which a jump's goal is where the series is.
    const ARRIVED: u32 = 3;
    /// Differences have heavier tails than values: an edge of its own on top of the learned one.
    const CAUTION: f64 = 1.25;

    pub(super) fn sigma(&self) -> f64 {
        self.variance.sqrt()
    }

    pub(super) fn off(&self, value: f64) -> f64 {
        self.reference.map_or(0.0, |reference| value - reference)
    }

    pub(super) fn reach(&self, floor: f64) -> f64 {
        self.edge.sigmas() * Self::CAUTION * self.sigma().max(floor)
    }

    pub(super) fn learn(&mut self, value: f64, is_jump: bool, floor: f64) {
        let off = self.off(value);
        let sigma = self.sigma().max(floor);
        let reach = if self.n < 10 { f64::INFINITY } else { Self::CLIP * sigma };
        let clipped = off.clamp(-reach, reach);
        let weight = Self::WEIGHT.max(1.0 / (f64::from(self.n) + 1.0));
        self.variance = (1.0 - weight) * (self.variance + weight * clipped * clipped);
        self.edge.learn(off / sigma, 0);
        self.n = self.n.saturating_add(1);
        self.n_away = if is_jump { self.n_away + 1 } else { 0 };
        if !is_jump || self.n_away >= Self::ARRIVED {
            self.reference = Some(value);
            self.n_away = 0;
        }
    }
}
