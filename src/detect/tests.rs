//! The contracts of this room, checked for every registered detector.

use super::*;
use crate::series::{History, MINUTE, MetricSettings, Millis, Sample, Season, Step};

pub(super) mod made;
mod matrices;
mod quality;
mod shared;

use made::{Noise, minutes};

const START: Millis = 1_700_000_000_000;

/// Settings with which every detector starts: the static threshold needs a limit, far away from the tests' values.
fn settings() -> Settings {
    let metric = MetricSettings { limit: Some(1e6), ..MetricSettings::default() };
    Settings { metric, ..Settings::default() }
}

fn nothing() -> History {
    History::new(0, Step::seconds(60), Vec::new())
}

fn scorer(entry: &Entry, settings: &Settings) -> Box<dyn Scorer> {
    (entry.build)(settings).start(&nothing()).unwrap()
}

fn scores(entry: &Entry, values: &[f64]) -> Vec<Option<Score>> {
    let mut scorer = scorer(entry, &settings());
    minutes(values).into_iter().map(|sample| scorer.score(sample)).collect()
}

fn check_sane(name: &str, score: Option<Score>) {
    let Some(score) = score else { return };
    assert!(score.value.is_finite() && score.value >= 0.0, "{name}: {score:?}");
    for edge in [score.expected, score.lower, score.upper].into_iter().flatten() {
        assert!(edge.is_finite(), "{name}: {score:?}");
    }
}

/// Those that learn, and so know a spread.
fn learning() -> impl Iterator<Item = &'static Entry> {
    DETECTORS.iter().filter(|entry| entry.name != static_threshold::NAME)
}

fn bits(score: &Option<Score>) -> Option<[u64; 4]> {
    let edge = |value: Option<f64>| value.map_or(u64::MAX, f64::to_bits);
    score.map(|s| [s.value.to_bits(), edge(s.expected), edge(s.lower), edge(s.upper)])
}

#[test]
fn names_are_unique_and_summaries_short() {
    for entry in DETECTORS {
        assert_eq!(DETECTORS.iter().filter(|other| other.name == entry.name).count(), 1, "{}", entry.name);
        assert!((10..=120).contains(&entry.summary.len()) && !entry.summary.ends_with('.'), "{}", entry.name);
    }
    for entry in MATRIX_DETECTORS {
        assert_eq!(MATRIX_DETECTORS.iter().filter(|other| other.name == entry.name).count(), 1, "{}", entry.name);
    }
}

#[test]
fn too_few_samples_have_no_score_rather_than_zero() {
    for entry in learning() {
        assert!(scores(entry, &[5.0]).iter().all(Option::is_none), "{}", entry.name);
        assert!(scores(entry, &[5.0, 6.0, 7.0, 500.0]).iter().all(Option::is_none), "{}", entry.name);
        let noise: Vec<f64> = Noise::new(1).take(200).collect();
        assert!(scores(entry, &noise)[150..].iter().all(Option::is_some), "{}", entry.name);
    }
}

#[test]
fn a_constant_series_scores_zero_and_any_deviation_from_it_above_one() {
    for entry in learning() {
        for centre in [0.0, 5.0, -0.1, 1e12, 1e-12, 1e300] {
            let got = scores(entry, &[centre; 300]);
            let last = got[299].unwrap();
            assert_eq!(last.value, 0.0, "{} at {centre}", entry.name);
            assert!(got.iter().flatten().all(|score| score.value == 0.0), "{} at {centre}", entry.name);
            for off in [1e-9, 1e-3, 1.0, 1e6] {
                let moved = centre + off * centre.abs().max(1.0);
                let mut values = vec![centre; 300];
                values.push(moved);
                let score = scores(entry, &values)[300].unwrap();
                if moved.clamp(-1e150, 1e150) != centre.clamp(-1e150, 1e150) {
                    assert!(score.value > 1.0, "{} at {centre} to {moved}: {score:?}", entry.name);
                }
                check_sane(entry.name, Some(score));
            }
        }
    }
}

#[test]
fn the_score_grows_with_the_overshoot() {
    for entry in learning() {
        let mut noise: Vec<f64> = Noise::new(3).take(400).map(|z| 100.0 + z).collect();
        noise.push(0.0);
        let mut score_at = |value: f64| {
            noise[400] = value;
            scores(entry, &noise)[400].unwrap().value
        };
        let (near, at_8, at_20, at_200) = (score_at(100.0), score_at(108.0), score_at(120.0), score_at(300.0));
        assert!(near < 0.8, "{}: {near}", entry.name);
        assert!(at_8 > 1.0 && at_20 > at_8 && at_200 > at_20, "{}: {at_8} {at_20} {at_200}", entry.name);
        assert!(score_at(80.0) > 1.0, "{}", entry.name);
    }
}

#[test]
fn the_band_and_the_score_agree() {
    for entry in learning().filter(|entry| entry.name != "isolation-forest") {
        let values: Vec<f64> = Noise::new(5).take(500).map(|z| 50.0 + 2.0 * z).collect();
        for (value, score) in values.iter().zip(scores(entry, &values)) {
            let Some(score) = score else { continue };
            let (lower, upper) = (score.lower.unwrap(), score.upper.unwrap());
            let expected = score.expected.unwrap();
            assert!(lower <= expected && expected <= upper, "{}: {score:?}", entry.name);
            if *value < lower || *value > upper {
                assert!(score.value > 1.0, "{}: {value} {score:?}", entry.name);
            }
        }
    }
}

#[test]
fn hostile_values_and_timestamps_have_defined_answers() {
    let values = [
        1.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        -0.0,
        0.0,
        1e308,
        -1e308,
        1e-300,
        1.0,
        1.0,
        1.0,
    ];
    let mut long: Vec<f64> = Vec::new();
    for (idx, z) in Noise::new(9).take(1500).enumerate() {
        long.push(if idx % 7 == 0 { values[(idx / 7) % values.len()] } else { z });
    }
    for entry in DETECTORS {
        let mut scorer = scorer(entry, &settings());
        for (idx, &value) in long.iter().enumerate() {
            let at = match idx % 50 {
                10 => i64::MAX,
                20 => i64::MIN,
                30 => 0,
                _ => START + idx as Millis * MINUTE,
            };
            // The far future would make everything after it late; it gets a scorer of its own below.
            let at = if at == i64::MAX { START } else { at };
            let score = scorer.score(Sample { at, value });
            check_sane(entry.name, score);
            assert!(value.is_finite() || score.is_none(), "{}", entry.name);
        }
        let mut fresh = (entry.build)(&settings()).start(&nothing()).unwrap();
        for at in [i64::MIN, i64::MIN + 1, 0, i64::MAX - 1, i64::MAX, i64::MAX] {
            for value in values {
                check_sane(entry.name, fresh.score(Sample { at, value }));
            }
        }
    }
}

#[test]
fn all_gaps_score_nothing_and_gaps_are_skipped() {
    for entry in DETECTORS {
        assert!(scores(entry, &[f64::NAN; 100]).iter().all(Option::is_none), "{}", entry.name);
        let noise: Vec<f64> = Noise::new(4).take(300).collect();
        let mut scorer = scorer(entry, &settings());
        let with_gaps = minutes(&noise).into_iter().map(|sample| {
            scorer.score(Sample { at: sample.at - 1, value: f64::NAN });
            scorer.score(sample)
        });
        let got: Vec<_> = with_gaps.map(|score| bits(&score)).collect();
        let plain: Vec<_> = scores(entry, &noise).iter().map(bits).collect();
        assert_eq!(got, plain, "{}", entry.name);
    }
}

#[test]
fn duplicate_and_backwards_timestamps_are_left_unscored_and_unlearned() {
    let noise: Vec<f64> = Noise::new(6).take(300).collect();
    for entry in DETECTORS {
        let plain: Vec<_> = scores(entry, &noise).iter().map(bits).collect();
        let mut scorer = scorer(entry, &settings());
        for (idx, sample) in minutes(&noise).into_iter().enumerate() {
            assert_eq!(bits(&scorer.score(sample)), plain[idx], "{}", entry.name);
            assert_eq!(scorer.score(Sample { at: sample.at, value: 1e5 }), None, "{}", entry.name);
            assert_eq!(scorer.score(Sample { at: sample.at - MINUTE, value: -1e5 }), None, "{}", entry.name);
        }
    }
}

#[test]
fn values_near_zero_are_no_special_case() {
    for entry in learning() {
        let values: Vec<f64> = Noise::new(8).take(1000).map(|z| z * 1e-200).collect();
        for score in scores(entry, &values) {
            check_sane(entry.name, score);
        }
    }
}

#[test]
fn starting_halfway_equals_scoring_all() {
    let season = Season::new(60);
    let values: Vec<f64> =
        Noise::new(11).take(2400).enumerate().map(|(i, z)| z + (i as f64 * 0.1).sin() * 5.0).collect();
    let samples = minutes(&values);
    for entry in DETECTORS {
        for season in [None, season] {
            let settings = Settings { season, ..settings() };
            let mut all = scorer(entry, &settings);
            let whole: Vec<_> = samples.iter().map(|&sample| bits(&all.score(sample))).collect();
            for split in [1, 700, 1201] {
                let warmup = History::new(START, Step::seconds(60), values[..split].to_vec());
                let mut rest = (entry.build)(&settings).start(&warmup).unwrap();
                let tail: Vec<_> = samples[split..].iter().map(|&sample| bits(&rest.score(sample))).collect();
                assert!(tail == whole[split..], "{} split at {split}", entry.name);
            }
        }
    }
}

#[test]
fn a_score_depends_on_earlier_samples_only() {
    let mut values: Vec<f64> = Noise::new(12).take(1500).collect();
    for entry in DETECTORS {
        let before: Vec<_> = scores(entry, &values)[..900].iter().map(bits).collect();
        let kept = values.clone();
        values.truncate(900);
        values.extend([1e6; 300]);
        let after: Vec<_> = scores(entry, &values)[..900].iter().map(bits).collect();
        assert!(before == after, "{}", entry.name);
        values = kept;
    }
}

#[test]
fn outside_the_valid_range_every_detector_scores_above_one() {
    let metric = MetricSettings { valid_min: Some(0.0), valid_max: Some(100.0), ..MetricSettings::default() };
    let settings = Settings { metric, ..Settings::default() };
    for entry in DETECTORS {
        let mut scorer = (entry.build)(&settings).start(&nothing()).unwrap();
        // From the first sample on, whatever was learned, and even where the series roams as far.
        for (idx, z) in Noise::new(13).take(400).enumerate() {
            let value = if idx % 10 == 0 { if idx % 20 == 0 { 100.5 } else { -0.5 } } else { 50.0 + 20.0 * z };
            let score = scorer.score(Sample { at: idx as Millis * MINUTE, value });
            if !(0.0..=100.0).contains(&value) {
                assert!(score.unwrap().value >= 1.01, "{} at {idx}: {score:?}", entry.name);
            }
            if let Some(Score { lower: Some(lower), .. }) = score {
                assert!(lower >= 0.0, "{}: {score:?}", entry.name);
            }
        }
    }
}

#[test]
fn replay_equals_live_watching() {
    let mut values: Vec<f64> = Noise::new(14).take(1200).map(|z| 20.0 + z).collect();
    values[600] = 60.0;
    values[900..960].fill(45.0);
    let samples = minutes(&values);
    for entry in DETECTORS {
        let detection = detect(&samples, entry.name, &settings(), &AlarmSettings::default()).unwrap();
        let mut live =
            Watcher::new(entry.name, &settings(), AlarmSettings::default(), crate::series::MetricKind::Gauge).unwrap();
        let mut anomalies = Vec::new();
        for (idx, &sample) in samples.iter().enumerate() {
            let outcome = live.step(sample);
            assert_eq!(bits(&outcome.score), bits(&detection.scores[idx]), "{}", entry.name);
            assert_eq!(outcome.is_in_anomaly, detection.in_anomaly[idx], "{}", entry.name);
            if let Some(Transition::Closed(anomaly)) = outcome.transition {
                anomalies.push(anomaly);
            }
        }
        anomalies.extend(live.open_anomaly());
        assert_eq!(anomalies, detection.anomalies, "{}", entry.name);
        if entry.name != static_threshold::NAME {
            let at = |idx: usize| samples[idx].at;
            let covers = |idx: usize| anomalies.iter().any(|a| a.start <= at(idx) && at(idx) <= a.end);
            assert!(covers(600) && covers(901), "{}: {anomalies:#?}", entry.name);
            assert!(detection.in_anomaly[600], "{}", entry.name);
        }
    }
}

#[test]
fn a_counter_is_watched_as_its_rate() {
    let mut watcher =
        Watcher::new("auto", &Settings::default(), AlarmSettings::default(), crate::series::MetricKind::Counter)
            .unwrap();
    let mut total = 0.0;
    let mut worst = (0, 0.0);
    for (idx, z) in Noise::new(15).take(600).enumerate() {
        total += 600.0 + 6.0 * z + if idx == 500 { 6_000.0 } else { 0.0 };
        if idx == 300 {
            total = 600.0;
        }
        let outcome = watcher.step(Sample { at: idx as Millis * MINUTE, value: total });
        assert_eq!(outcome.value.is_nan(), idx == 0);
        if let Some(score) = outcome.score.filter(|score| score.value > worst.1) {
            worst = (idx, score.value);
        }
    }
    // The restart at 300 is a rate like any other.
    assert_eq!(worst.0, 500);
    assert!(worst.1 > 5.0);
}

#[test]
fn an_unknown_detector_is_refused_with_those_known() {
    let error = detect(&[], "magic", &Settings::default(), &AlarmSettings::default()).unwrap_err();
    assert!(error.to_string().contains("auto, zscore, robust-zscore, iqr, isolation-forest"), "{error}");
    let error = detect(&[], static_threshold::NAME, &Settings::default(), &AlarmSettings::default()).unwrap_err();
    assert!(error.to_string().contains("needs a limit"), "{error}");
}
