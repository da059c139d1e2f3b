//! Seeded series with known truth.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::series::{MINUTE, Millis, Sample};

/// Standard Gaussian noise, the same for the same seed.
pub(in crate::detect) struct Noise(Xoshiro256PlusPlus);

impl Noise {
    pub(in crate::detect) fn new(seed: u64) -> Noise {
        Noise(Xoshiro256PlusPlus::seed_from_u64(seed))
    }
}

impl Iterator for Noise {
    type Item = f64;

    /// By Box and Muller.
    fn next(&mut self) -> Option<f64> {
        let (u, v): (f64, f64) = (1.0 - self.0.r#gen::<f64>(), self.0.r#gen());
        Some((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos())
    }
}

/// Samples a minute apart.
pub(in crate::detect) fn minutes(values: &[f64]) -> Vec<Sample> {
    every(MINUTE, values)
}

/// Samples `step` apart.
pub(in crate::detect) fn every(step: Millis, values: &[f64]) -> Vec<Sample> {
    let at = |idx: usize| super::START + idx as Millis * step;
    values.iter().enumerate().map(|(idx, &value)| Sample { at: at(idx), value }).collect()
}

/// A series where each value keeps `keep` of the one before.
pub(in crate::detect) fn autoregressive(seed: u64, keep: f64, n: usize) -> Vec<f64> {
    let mut value = 0.0;
    let step = |z: f64| {
        value = keep * value + (1.0 - keep * keep).sqrt() * z;
        value
    };
    Noise::new(seed).take(n).map(step).collect()
}

/// Noise with a tail: Student's t with three degrees of freedom.
pub(in crate::detect) fn heavy(seed: u64, n: usize) -> Vec<f64> {
    let mut noise = Noise::new(seed);
    let mut next = move || noise.next().unwrap();
    (0..n)
        .map(|_| {
            let chi: f64 = (0..3).map(|_| next().powi(2)).sum();
            next() / (chi / 3.0).sqrt()
        })
        .collect()
}

/// Two weeks and more of a day's rhythm at five minutes, with a quiet weekend.
pub(in crate::detect) fn daily(seed: u64, n: usize) -> Vec<f64> {
    let at = |idx: usize| idx as f64 / 288.0;
    let shape = |idx: usize| {
        let day = at(idx);
        let workday = if (day as usize) % 7 < 5 { 1.0 } else { 0.5 };
        100.0
            + workday * (30.0 * (day * std::f64::consts::TAU).sin() + 10.0 * (2.0 * day * std::f64::consts::TAU).cos())
    };
    Noise::new(seed).take(n).enumerate().map(|(idx, z)| shape(idx) + 3.0 * z).collect()
}
