use super::*;
use crate::series::MINUTE;

/// Runs an alarm over scores a minute apart, whose values lie in a band of 10 around 100 as the score says.
fn run(settings: AlarmSettings, metric: &MetricSettings, scores: &[f64]) -> Vec<String> {
    let mut alarm = Alarm::new("zscore", settings, metric);
    let mut story = Vec::new();
    for (idx, &signed) in scores.iter().enumerate() {
        let sample = Sample { at: idx as Millis * MINUTE, value: 100.0 + 10.0 * signed };
        let score = Score { value: signed.abs(), expected: Some(100.0), lower: Some(90.0), upper: Some(110.0) };
        match alarm.step(sample, Some(score)) {
            Some(Transition::Opened(a)) => story.push(format!("{idx} opened {} {}", a.kind.as_str(), a.start / MINUTE)),
            Some(Transition::Grew(a)) => story.push(format!("{idx} grew {} {:.1}", a.kind.as_str(), a.score)),
            Some(Transition::Closed(a)) => {
                assert!(!a.is_open);
                story.push(format!("{idx} closed {} {}..{}", a.kind.as_str(), a.start / MINUTE, a.end / MINUTE));
            }
            None => {}
        }
    }
    if let Some(open) = alarm.finish() {
        assert!(open.is_open);
        story.push(format!("open {} {}..{}", open.kind.as_str(), open.start / MINUTE, open.end / MINUTE));
    }
    story
}

fn plain(scores: &[f64]) -> Vec<String> {
    run(AlarmSettings::default(), &MetricSettings::default(), scores)
}

#[test]
fn a_lone_spike_opens_and_closes_after_five_quiet_scores() {
    let scores = [0.1, 0.2, 1.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1];
    assert_eq!(plain(&scores), ["2 opened spike 2", "7 closed spike 2..2"]);
    assert_eq!(plain(&scores.map(|s| -s)), ["2 opened drop 2", "7 closed drop 2..2"]);
}

#[test]
fn the_edge_itself_is_not_anomalous() {
    assert!(plain(&[0.0, 1.0, 0.0, -1.0]).is_empty());
}

#[test]
fn scores_between_the_thresholds_hold_it_open() {
    let scores = [0.1, 1.5, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 1.2, 0.1];
    assert_eq!(plain(&scores), ["1 opened spike 1", "open spike 1..9"]);
}

#[test]
fn eight_samples_beyond_the_band_are_a_trend() {
    let story = plain(&[0.1, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5]);
    assert_eq!(story, ["1 opened spike 1", "8 grew trend 1.5", "open trend 1..9"]);
}

#[test]
fn a_higher_peak_is_told_again_only_when_it_is_news() {
    assert_eq!(plain(&[1.2, 1.3, 2.0]), ["0 opened spike 0", "2 grew spike 2.0", "open spike 0..2"]);
}

#[test]
fn k_of_n_wait_and_a_severe_score_does_not() {
    let settings = AlarmSettings { open_after: Some((2, 3)), ..AlarmSettings::default() };
    let metric = MetricSettings::default();
    assert!(run(settings.clone(), &metric, &[1.5, 0.1, 0.1, 1.5, 0.1, 0.1]).is_empty());
    assert_eq!(run(settings.clone(), &metric, &[0.1, 1.5, 0.1, 1.5]), ["3 opened spike 1", "open spike 1..3"]);
    assert_eq!(run(settings, &metric, &[0.1, 2.5]), ["1 opened spike 1", "open spike 1..1"]);
}

#[test]
fn a_minimum_duration_is_waited_for() {
    let settings = AlarmSettings { min_duration: 3 * MINUTE, ..AlarmSettings::default() };
    let metric = MetricSettings::default();
    assert!(run(settings.clone(), &metric, &[1.5, 1.5, 1.5, 0.1]).is_empty());
    assert_eq!(run(settings, &metric, &[1.5, 1.5, 1.5, 1.5]), ["3 opened spike 0", "open spike 0..3"]);
}

#[test]
fn after_closing_only_something_worse_or_opposite_is_told() {
    let settings = AlarmSettings { close_after: 1, mute_share: 1.0, mute_samples: 4, ..AlarmSettings::default() };
    let metric = MetricSettings::default();
    let told = |scores: &[f64]| run(settings.clone(), &metric, scores);
    assert_eq!(told(&[1.5, 0.1, 1.5, 0.1])[2..], [] as [&str; 0]);
    assert_eq!(told(&[1.5, 0.1, 2.1, 0.1])[2..], ["2 opened spike 2", "3 closed spike 2..2"]);
    assert_eq!(told(&[1.5, 0.1, -1.5, 0.1])[2..], ["2 opened drop 2", "3 closed drop 2..2"]);
    assert_eq!(told(&[1.5, 0.1, 0.1, 0.1, 0.1, 0.1, 1.5])[2], "6 opened spike 6");
}

#[test]
fn what_does_not_matter_does_not_count() {
    let up = MetricSettings { matters: Side::Up, ..MetricSettings::default() };
    assert!(run(AlarmSettings::default(), &up, &[-3.0, -3.0]).is_empty());
    assert_eq!(run(AlarmSettings::default(), &up, &[3.0]).len(), 2);
    // 1.5 bands of 10 are 15 off 100.
    let absolute = MetricSettings { least_absolute: 16.0, ..MetricSettings::default() };
    assert!(run(AlarmSettings::default(), &absolute, &[1.5]).is_empty());
    assert_eq!(run(AlarmSettings::default(), &absolute, &[1.7]).len(), 2);
    let relative = MetricSettings { least_relative: 0.2, ..MetricSettings::default() };
    assert!(run(AlarmSettings::default(), &relative, &[1.5]).is_empty());
    assert_eq!(run(AlarmSettings::default(), &relative, &[2.1]).len(), 2);
}

#[test]
fn an_impossible_value_is_a_threshold_anomaly_on_any_side() {
    let metric = MetricSettings { matters: Side::Up, valid_min: Some(90.0), ..MetricSettings::default() };
    assert_eq!(run(AlarmSettings::default(), &metric, &[-1.5]), ["0 opened threshold 0", "open threshold 0..0"]);
}

#[test]
fn odd_scores_inside_the_band_are_a_pattern_and_a_steady_lean_is_a_trend() {
    let mut alarm = Alarm::new("auto", AlarmSettings::default(), &MetricSettings::default());
    let score = Score { value: 1.5, expected: Some(100.0), lower: Some(90.0), upper: Some(110.0) };
    let opened = alarm.step(Sample { at: 0, value: 104.0 }, Some(score));
    assert_eq!(opened.map(|t| t.anomaly().kind), Some(Kind::Pattern));
    let mut last = None;
    for minute in 1..30 {
        last = alarm.step(Sample { at: minute * MINUTE, value: 105.0 }, Some(score)).or(last);
    }
    assert_eq!(last.map(|t| t.anomaly().kind), Some(Kind::Trend));
}

#[test]
fn a_long_pause_ends_an_anomaly() {
    let mut alarm = Alarm::new("auto", AlarmSettings::default(), &MetricSettings::default());
    let score = Score { value: 1.5, expected: Some(1.0), lower: Some(0.0), upper: Some(2.0) };
    for minute in 0..5 {
        alarm.step(Sample { at: minute * MINUTE, value: 3.0 }, Some(score));
    }
    let after = alarm.step(Sample { at: 500 * MINUTE, value: 3.0 }, Some(score));
    assert!(matches!(after, Some(Transition::Closed(a)) if a.end == 4 * MINUTE));
}

#[test]
fn the_explanation_has_the_numbers() {
    let metric = MetricSettings { unit: Some("ms".into()), ..MetricSettings::default() };
    let mut alarm = Alarm::new("auto", AlarmSettings::default(), &metric);
    let score = Score { value: 2.5, expected: Some(100.0), lower: Some(90.0), upper: Some(110.0) };
    let told = alarm.step(Sample { at: 0, value: 125.0 }, Some(score)).unwrap();
    let expected = "125 ms is 25 ms above the expected 100 ms (usual range 90 ms to 110 ms), 2.5 times the usual reach";
    assert_eq!(told.anomaly().explanation, expected);
}
