//! What holds for every registered method, on one list of histories.

use super::*;

#[test]
fn every_method_fills_the_horizon_and_a_longer_one_only_appends() {
    for entry in FORECASTERS {
        let fitted = fit(entry, seasonal(150)).unwrap();
        let long = fitted.points(steps(40));
        assert_eq!(long.len(), 40, "{}", entry.name);
        assert!(long.iter().all(|point| point.is_finite()), "{}", entry.name);
        assert_eq!(fitted.points(steps(7)), long[..7], "{}", entry.name);
        assert!(long.iter().all(|point| (50.0..200.0).contains(point)), "{}: {long:?}", entry.name);
    }
}

#[test]
fn every_method_fits_the_same_twice() {
    for entry in FORECASTERS {
        let [one, two] = [0; 2].map(|_| fit(entry, seasonal(130)).unwrap());
        assert_eq!(one.points(steps(15)), two.points(steps(15)), "{}", entry.name);
        assert_eq!(one.settings(), two.settings(), "{}", entry.name);
    }
}

#[test]
fn no_method_panics_or_leaves_the_numbers_on_a_degenerate_history() {
    let gap = f64::NAN;
    let mut histories = vec![vec![], vec![gap], vec![gap; 60], vec![3.0], vec![1.0, 2.0]];
    for value in [0.0, 7.5, -3.0, 1e300, -1e300, 1e-300, 5e-324, f64::MAX] {
        histories.push(vec![value; 60]);
    }
    histories.push((0..60).map(|i| if i % 2 == 0 { f64::MAX } else { -f64::MAX }).collect());
    histories.push((0..60).map(|i| if i % 3 == 0 { f64::from(i) } else { gap }).collect());
    histories.push((0..60).map(|i| if i < 58 { gap } else { f64::from(i) }).collect());
    histories.push((0..60).map(|i| if i > 5 { gap } else { f64::from(i) }).collect());
    histories.push((0..60).map(|i| if i == 30 { 1e15 } else { 1e-9 * f64::from(i) }).collect());
    histories.push((0..60).map(|i| 2f64.powi(i * 17)).collect());
    for values in histories {
        for entry in FORECASTERS {
            let shown = format!("{} on {} values from {:?}", entry.name, values.len(), values.first());
            if let Ok(mut fitted) = fit(entry, values.clone()) {
                let all_finite = |fitted: &dyn Fitted| fitted.points(steps(30)).iter().all(|point| point.is_finite());
                assert!(all_finite(&*fitted), "{shown}");
                for value in [gap, 1e308, -1e308, 0.0, f64::INFINITY] {
                    fitted.update(value, Regressors::NONE);
                    assert!(all_finite(&*fitted), "{shown} after {value}");
                }
            }
            let request = Request { model: entry.name.to_owned(), ..Request::default() };
            if let Ok(prepared) = prepare(&history(values.clone()), &request) {
                let forecast = prepared.forecast(steps(9), Coverage::P95);
                assert!(forecast.points.iter().all(|point| point.is_finite()), "{shown}");
                assert_eq!(forecast.band.is_none(), forecast.band_reason.is_some(), "{shown}");
                if let Some(band) = forecast.band {
                    let edges = band.lower.iter().zip(&band.upper);
                    assert!(edges.clone().all(|(lo, hi)| lo.is_finite() && hi.is_finite() && lo <= hi), "{shown}");
                }
            }
        }
    }
}

#[test]
fn constants_are_continued_and_their_band_held_on_the_past() {
    for entry in FORECASTERS {
        let request = Request {
            model: entry.name.to_owned(),
            season: SeasonChoice::Steps(Season::new(6).unwrap()),
            ..Request::default()
        };
        let forecast = prepare(&history(vec![42.5; 120]), &request).unwrap().forecast(steps(10), Coverage::P95);
        assert!(forecast.points.iter().all(|point| (point - 42.5).abs() < 1e-9), "{}", entry.name);
        assert_eq!(forecast.direction.heading, Heading::Flat);
        assert!(forecast.band.is_some());
        let short = prepare(&history(vec![42.5; 14]), &request).unwrap().forecast(steps(10), Coverage::P95);
        assert!(short.band.is_none(), "{}: no band on the strength of a few values", entry.name);
    }
}

#[test]
fn what_a_method_takes_in_exactly_agrees_with_a_fit_to_all() {
    use super::damped::Damped;
    use super::holt::Holt;
    use super::holt_winters_additive::HoltWintersAdditive;
    use super::holt_winters_multiplicative::HoltWintersMultiplicative;
    use super::moving_average::MovingAverage;
    use super::naive::Naive;
    use super::seasonal_naive::SeasonalNaive;
    use super::ses::Ses;
    use super::smoothing::Weights;
    let season = Season::new(12);
    let weights = Weights { alpha: 0.4, beta: 0.05, gamma: 0.2, phi: 0.95 };
    let (fixed, straight) = (Some(weights), Some(Weights { phi: 1.0, ..weights }));
    let level_only = Some(Weights { beta: 0.0, gamma: 0.0, phi: 0.0, ..weights });
    let methods: [(&str, Box<dyn Forecaster>); 8] = [
        ("naive", Box::new(Naive)),
        ("seasonal-naive", Box::new(SeasonalNaive { season })),
        ("moving-average", Box::new(MovingAverage { season, window: Some(9) })),
        ("ses", Box::new(Ses { fixed: level_only })),
        ("holt", Box::new(Holt { fixed: straight })),
        ("damped", Box::new(Damped { fixed })),
        ("holt-winters-additive", Box::new(HoltWintersAdditive { season, fixed })),
        ("holt-winters-multiplicative", Box::new(HoltWintersMultiplicative { season, fixed })),
    ];
    // Longer than a search for weights looks back on.
    let mut values = seasonal(2_000);
    (values[70], values[120], values[1990]) = (f64::NAN, f64::NAN, f64::NAN);
    for (name, method) in methods {
        let all = history(values.clone());
        let past = Past::of(&all);
        let whole = method.fit(&past).unwrap();
        let mut grown = method.fit(&past.upto(90)).unwrap();
        for &value in &values[90..] {
            assert_eq!(grown.update(value, Regressors::NONE), Updated::Exact, "{name}");
        }
        let apart = largest(&whole.points(steps(20)), &grown.points(steps(20)));
        assert!(apart < 1e-9, "{name}: {apart}");
    }
}

#[test]
fn values_taken_in_lead_near_to_where_a_fit_to_all_does() {
    let values = seasonal(204);
    let mut n_taking = 0;
    for entry in FORECASTERS {
        let mut grown = fit(entry, values[..180].to_vec()).unwrap();
        if values[180..].iter().any(|&value| grown.update(value, Regressors::NONE) == Updated::NeedsRefit) {
            continue;
        }
        n_taking += 1;
        let whole = fit(entry, values.clone()).unwrap();
        let apart = largest(&grown.points(steps(12)), &whole.points(steps(12)));
        assert!(apart < 8.0, "{}: {apart}", entry.name);
    }
    assert!(n_taking >= 15, "only {n_taking} methods take values in");
}

#[test]
fn a_method_that_cannot_take_a_value_in_is_unchanged() {
    for entry in FORECASTERS {
        let mut fitted = fit(entry, seasonal(140)).unwrap();
        let before = fitted.points(steps(5));
        if fitted.update(500.0, Regressors::NONE) == Updated::NeedsRefit {
            assert_eq!(fitted.points(steps(5)), before, "{}", entry.name);
        }
    }
}

#[test]
fn a_change_of_unit_changes_the_forecast_alike() {
    let values = seasonal(150);
    for entry in FORECASTERS {
        let points = fit(entry, values.clone()).unwrap().points(steps(24));
        // Losses are compared within a tolerance, and the slot profile keeps 32 bits.
        let tolerance = 1e-3;
        let scaled = fit(entry, values.iter().map(|value| value * 1024.0).collect()).unwrap().points(steps(24));
        let back: Vec<f64> = scaled.iter().map(|point| point / 1024.0).collect();
        assert!(largest(&points, &back) < tolerance, "{} scaled", entry.name);
        // Shifted values are another series to a method that multiplies or may do so, and to auto, which asks one.
        let may_multiply = [
            "holt-winters-multiplicative",
            "seasonal-ar",
            "delta",
            "rho",
            "card",
            "period-fold",
            "ets",
            "ces",
            "theta",
            "stm",
            "otm",
            "dstm",
            "dotm",
            "mstl-ets",
            "dynamic-regression",
            "mstl-theta",
            "auto",
            "cycle-median",
        ];
        if !may_multiply.contains(&entry.name) {
            let shifted = fit(entry, values.iter().map(|value| value + 4096.0).collect()).unwrap().points(steps(24));
            let back: Vec<f64> = shifted.iter().map(|point| point - 4096.0).collect();
            assert!(largest(&points, &back) < 0.05, "{} shifted: {}", entry.name, largest(&points, &back));
        }
    }
}

#[test]
fn gaps_do_not_derail_a_method() {
    let whole = seasonal(168);
    let mut holed = whole.clone();
    for idx in (5..160).step_by(9) {
        holed[idx] = f64::NAN;
    }
    holed[60..66].fill(f64::NAN);
    for entry in FORECASTERS {
        let points = fit(entry, holed.clone()).unwrap().points(steps(12));
        let reference = fit(entry, whole.clone()).unwrap().points(steps(12));
        // A method without a season is anywhere between the crests of the wave, with gaps or without, and one that
        // leaves out each row with a gap among a dozen lags has to do with three of them here.
        let is_seasonal =
            !["naive", "moving-average", "ses", "holt", "damped", "ar", "croston", "sba", "tsb"].contains(&entry.name);
        let tolerance = if is_seasonal { 6.0 } else { 25.0 };
        assert!(largest(&points, &reference) < tolerance, "{}: {}", entry.name, largest(&points, &reference));
    }
}

/// Numbers estimated anew from where they stood forecast nearly as well as those of a fit to all: the model is the same.
#[test]
fn numbers_estimated_again_are_near_those_of_a_fit() {
    let values = seasonal(240);
    let (past, future) = (history(values[..200].to_vec()), &values[200..224]);
    let past = Past::of(&past);
    let mut n_again = 0;
    for entry in FORECASTERS {
        let method = (entry.build)(&twelve());
        let before = method.fit(&past.upto(140)).unwrap();
        let Some(again) = before.fitted_again(&past) else { continue };
        n_again += 1;
        let whole = method.fit(&past).unwrap();
        let error = |fitted: &dyn Fitted| {
            fitted.points(steps(24)).iter().zip(future).map(|(point, value)| (value - point).abs()).sum::<f64>() / 24.0
        };
        let (one, other) = (error(&*again), error(&*whole));
        assert!(one < 1.25 * other, "{}: {one} against {other}", entry.name);
        let twice = before.fitted_again(&past).unwrap();
        assert_eq!(again.points(steps(24)), twice.points(steps(24)), "{}", entry.name);
        // A past of another kind gives no model rather than a bad one.
        let odd = history(vec![f64::NAN; 200]);
        assert!(before.fitted_again(&Past::of(&odd)).is_none(), "{}", entry.name);
    }
    assert!(n_again >= 7, "only {n_again} methods");
}
