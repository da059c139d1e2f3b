//! What the tests of forecasts share: seeded noise, a series with a season, a model that says one value.

mod answers;
mod contract;

use std::collections::BTreeMap;

use super::air_passengers::AIR_PASSENGERS;
use super::*;
use crate::series::{History, Season, Step};

/// A fitted model that says one value throughout.
#[derive(Debug)]
pub(super) struct Says(pub f64);

impl Fitted for Says {
    fn points_into(&self, _: Regressors<'_>, points: &mut [f64]) {
        points.fill(self.0);
    }

    fn update(&mut self, _: f64, _: Regressors<'_>) -> Updated {
        Updated::Filtered
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        BTreeMap::new()
    }
}

/// A small seeded generator for test series.
pub(super) struct Noise(u64);

impl Noise {
    pub(super) fn seeded(seed: u64) -> Noise {
        Noise(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Uniform in 0..1, by xorshift64*.
    pub(super) fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    pub(super) fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.uniform().max(1e-300), self.uniform());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// Each value keeps `share` of the one before: 1 is a random walk.
    pub(super) fn walk(&mut self, n: usize, share: f64) -> Vec<f64> {
        let mut level = 0.0;
        (0..n)
            .map(|_| {
                level = share * level + self.normal();
                level
            })
            .collect()
    }
}

fn history(values: Vec<f64>) -> History {
    History::new(1_700_000_000_000, Step::seconds(3600), values)
}

fn steps(n: usize) -> Horizon {
    Horizon::new(n).unwrap()
}

fn seasonal(n: usize) -> Vec<f64> {
    let mut noise = Noise::seeded(11);
    (0..n)
        .map(|t| {
            100.0 + 0.05 * t as f64 + 12.0 * ((t % 12) as f64 / 12.0 * std::f64::consts::TAU).sin() + noise.normal()
        })
        .collect()
}

fn fit(entry: &Entry, values: Vec<f64>) -> Result<Box<dyn Fitted>, FitError> {
    (entry.build)(&twelve()).fit(&Past::of(&history(values)))
}

fn twelve() -> Settings {
    Settings { seasons: Season::new(12).into_iter().collect(), horizon: None }
}

fn largest(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
