//! Quantiles at shares of errors that lie ever closer together, in singles.

/// Shares of errors beyond which a quantile is kept: so many for each halving of the share, so that the usual
/// coverages have nodes of their own.
const NODES_PER_HALVING: f64 = 4.0;
const A_NODE: f64 = 0.1;
const NODES_BEFORE: f64 = 9.0;
pub(super) const N_NODES: usize = 33;

/// The share of errors beyond node `nr`, at most nearly a half.
pub(super) fn beyond(nr: usize) -> f64 {
    A_NODE * 2f64.powf((NODES_BEFORE - nr as f64) / NODES_PER_HALVING)
}

/// Quantiles of scaled errors, by the share of the errors beyond.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nodes([f32; N_NODES]);

impl Default for Nodes {
    fn default() -> Nodes {
        Nodes([0.0; N_NODES])
    }
}

impl Nodes {
    /// `of(beyond)` at each node.
    pub fn new(of: impl Fn(f64) -> f64) -> Nodes {
        Nodes(std::array::from_fn(|nr| of(beyond(nr)) as f32))
    }

    /// The quantile beyond which a share `beyond` of the errors lies, at most a half.
    pub fn at(&self, beyond: f64) -> f64 {
        let halvings = (A_NODE / beyond.max(1e-9)).log2();
        // Off by a hair for what is a node but for rounding.
        let place = (NODES_BEFORE + NODES_PER_HALVING * halvings - 1e-9).clamp(0.0, (N_NODES - 1) as f64);
        let (before, share) = (place as usize, place.fract());
        let after = (before + 1).min(N_NODES - 1);
        f64::from(self.0[before]) * (1.0 - share) + f64::from(self.0[after]) * share
    }
}
