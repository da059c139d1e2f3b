//! Where the edge of the band lies: how far out the series' own tail makes a deviation ordinary.
//!
//! In: deviations in sigmas. Out: how many sigmas so small a share of them will exceed: the share beyond [`START`] and
//! the excesses there, extrapolated by a generalized Pareto tail fitted by moments. Sources: as in
//! [`tail`](super::super::tail), with the moments kept up to date instead of fitted to a window.

/// Sigmas from which on a deviation is in the tail.
const START: f64 = 2.5;
/// The share beyond the edges of both sides together.
const PROBABILITY: f64 = 1e-5;
/// Sigmas between which the edge lies.
const LEAST: f64 = 4.2;
/// Half-life of the share: 1,000 samples; of the excesses: about 70 of them.
const SHARE_WEIGHT: f64 = 6.93e-4;
const EXCESS_WEIGHT: f64 = 0.01;
/// The edge of a band, learned.
#[derive(Debug)]
pub(super) struct Edge {
    share: f64,
    /// Means of the excesses and of their squares.
    excess: f64,
    square: f64,
    n_excesses: f64,
    is_of_moves: bool,
}

/// The heaviest shape of a tail and the farthest edge: of values, and of moves.
const BOUNDS: [(f64, f64); 2] = [(0.2, 20.0), (0.0, 12.0)];

impl Edge {
    /// The edge for values, whose tail may be heavy.
    pub(super) fn of_values() -> Edge {
        Edge { is_of_moves: false, ..Edge::of_moves() }
    }

    /// The edge for differences between neighbours, with an exponential tail: nearer, and steadier for series that
    /// wander. It starts as if ten excesses of Gaussian noise had been seen.
    pub(super) fn of_moves() -> Edge {
        Edge { share: 0.0124, excess: 0.32, square: 0.18, n_excesses: 10.0, is_of_moves: true }
    }

    /// The edge, in sigmas.
    pub(super) fn sigmas(&self) -> f64 {
        let (heaviest, most) = BOUNDS[usize::from(self.is_of_moves)];
        let variance = self.square - self.excess * self.excess;
        let ratio = if variance > 0.0 { self.excess * self.excess / variance } else { f64::INFINITY };
        // The moments of n excesses show a shape of about 1 / √n where there is none.
        let chance = 1.0 / self.n_excesses.min(1.0 / EXCESS_WEIGHT).sqrt();
        let shape = (0.5 * (1.0 - ratio) - chance).clamp(0.0, heaviest);
        let scale = self.excess * (1.0 - shape);
        let left = (self.share / PROBABILITY).max(1.0);
        let beyond = if shape < 1e-3 { scale * left.ln() } else { scale / shape * (left.powf(shape) - 1.0) };
        (START + beyond).clamp(LEAST, most)
    }

    /// Learns a deviation, the `run`th in a row beyond the edge.
    pub(super) fn learn(&mut self, z: f64, run: usize) {
        // A shift is one event, however many samples it lasts.
        if run >= 3 {
            return;
        }
        let excess = z.abs().min(self.sigmas()) - START;
        self.share += SHARE_WEIGHT * (f64::from(u8::from(excess > 0.0)) - self.share);
        if excess > 0.0 {
            self.n_excesses += 1.0;
            let weight = (1.0 / self.n_excesses).max(EXCESS_WEIGHT);
            self.excess += weight * (excess - self.excess);
            self.square += weight * (excess * excess - self.square);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::made::{Noise, heavy};
    use super::*;

    fn learned(edge: Edge, deviations: impl Iterator<Item = f64>) -> f64 {
        let mut edge = edge;
        deviations.for_each(|z| edge.learn(z, 0));
        edge.sigmas()
    }

    #[test]
    fn gaussian_noise_keeps_the_edge_near_the_gaussian_quantile() {
        // One in 100,000 lies beyond 4.42.
        for seed in 1..6 {
            for edge in [Edge::of_values(), Edge::of_moves()] {
                let edge = learned(edge, Noise::new(seed).take(5_000));
                assert!((LEAST..5.5).contains(&edge), "{edge} of seed {seed}");
            }
        }
    }

    #[test]
    fn a_heavy_tail_moves_it_out() {
        for seed in 1..6 {
            let edge = learned(Edge::of_values(), heavy(seed, 5_000).into_iter());
            assert!(edge > 9.0, "{edge} of seed {seed}");
            assert!(edge >= learned(Edge::of_moves(), heavy(seed, 5_000).into_iter()), "{edge} of seed {seed}");
        }
    }

    #[test]
    fn one_enormous_deviation_hardly_moves_it() {
        let mut edge = Edge::of_values();
        Noise::new(3).take(3_000).for_each(|z| edge.learn(z, 0));
        let before = edge.sigmas();
        edge.learn(1e9, 0);
        assert!(edge.sigmas() < 1.2 * before, "{before} became {}", edge.sigmas());
    }
}
