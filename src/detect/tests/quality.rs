//! How often the detectors cry wolf, and how often they miss it, on series with known truth.
//!
//! The bounds hold with room to spare at the seeds used; `cargo test quality -- --nocapture` prints the figures.

use super::made::{Noise, autoregressive, daily, every, heavy};
use super::*;

const FIVE_MINUTES: Millis = 5 * MINUTE;
const N: usize = 10_000;
const SEEDS: std::ops::Range<u64> = 100..110;

type Made = fn(u64, usize) -> Vec<f64>;

const WORLDS: [(&str, Made); 6] = [
    ("white", |seed, n| Noise::new(seed).take(n).map(|z| 50.0 + z).collect()),
    ("daily", daily),
    ("ar 0.9", |seed, n| autoregressive(seed, 0.9, n)),
    ("trend", |seed, n| Noise::new(seed).take(n).enumerate().map(|(i, z)| i as f64 * 0.01 + z).collect()),
    ("heavy", heavy),
    ("walk", |seed, n| {
        let mut sum = 0.0;
        Noise::new(seed)
            .take(n)
            .map(|z| {
                sum += z;
                sum
            })
            .collect()
    }),
];

fn found(values: &[f64], detector: &str) -> Vec<Anomaly> {
    detect(&every(FIVE_MINUTES, values), detector, &settings(), &AlarmSettings::default()).unwrap().anomalies
}

/// Anomalies per 10,000 samples where there are none.
fn false_alarms(detector: &str, made: Made) -> f64 {
    let total: usize = SEEDS.map(|seed| found(&made(seed, N), detector).len()).sum();
    total as f64 / SEEDS.count() as f64
}

/// The share of faults, put in at 6,000 to 9,000, that an anomaly touches within `within` samples of their start.
fn recall(detector: &str, made: Made, within: usize, put_in: impl Fn(&mut [f64], usize)) -> f64 {
    let mut hits = 0;
    let mut faults = 0;
    for seed in SEEDS {
        let mut values = made(seed, N);
        let at = 6_000 + (seed as usize * 373) % 3_000;
        put_in(&mut values, at);
        let time = |idx: usize| START + idx as Millis * FIVE_MINUTES;
        let anomalies = found(&values, detector);
        faults += 1;
        hits += usize::from(anomalies.iter().any(|a| a.start <= time(at + within) && a.end >= time(at)));
    }
    f64::from(hits as u32) / f64::from(faults)
}

#[test]
fn quality_false_alarms_are_few() {
    for entry in learning() {
        for (world, made) in WORLDS {
            let rate = false_alarms(entry.name, made);
            println!("{:18} {world:7} {rate:6.1} false alarms in 10,000", entry.name);
            if entry.name == "auto" {
                let most = match world {
                    "walk" => 4.0,
                    "heavy" => 8.0,
                    _ => 3.0,
                };
                assert!(rate <= most, "auto on {world}: {rate}");
            }
        }
    }
}

#[test]
fn quality_faults_are_found() {
    for entry in learning() {
        for (world, made) in WORLDS {
            let noise = if world == "daily" { 3.0 } else { 1.0 };
            // Of the heavy tail's own samples one in 250 lies beyond 8, and one in 30,000 beyond 32.
            let outlier = if world == "heavy" { 50.0 } else { 8.0 * noise };
            let spike = recall(entry.name, made, 0, |values, at| values[at] += outlier);
            let drop = recall(entry.name, made, 0, |values, at| values[at] -= outlier);
            let shift = recall(entry.name, made, 30, |values, at| {
                values[at..].iter_mut().for_each(|value| *value += 5.0 * noise);
            });
            let leak = recall(entry.name, made, 800, |values, at| {
                let end = (at + 1000).min(values.len());
                (at..end).for_each(|idx| values[idx] += (idx - at) as f64 * 0.02 * noise);
            });
            let unrest = recall(entry.name, made, 60, |values, at| {
                (at..at + 60).for_each(|idx| values[idx] += if idx % 2 == 0 { 3.5 } else { -3.5 } * noise);
            });
            println!(
                "{:18} {world:7} spike {spike:.1} drop {drop:.1} shift {shift:.1} leak {leak:.1} unrest {unrest:.1}",
                entry.name
            );
            if entry.name == "auto" {
                let least = if world == "walk" { 0.8 } else { 0.9 };
                assert!(spike >= least && drop >= least, "auto on {world}: spike {spike}, drop {drop}");
                // A walk goes by itself where a leak or a shift would take it.
                let lasting = world == "walk" || (shift >= 0.9 && leak >= 0.8);
                assert!(lasting, "auto on {world}: shift {shift}, leak {leak}");
            }
        }
    }
}
