use super::*;
use crate::forecast::Horizon;
use crate::forecast::air_passengers::AIR_PASSENGERS;
use crate::forecast::tests::Noise;
use crate::series::Step;

fn fit(season: usize, values: &[f64]) -> Box<dyn Fitted> {
    Arima { season: Season::new(season) }.fit(&Past::new(0, Step::seconds(1), values)).unwrap()
}

/// Estimates given orders: the model and the sum of squares over its number of errors.
fn estimated(values: &[f64], d: usize, orders: Orders, n_unscored: usize) -> (Model, f64) {
    let mut changes = differences(values, 12);
    for _ in 0..d {
        changes = differences(&changes, 1);
    }
    let summing = differencing(d, 1, 12);
    let changes = &changes[summing.last().unwrap().0..];
    let errors = Errors { values: changes, steps: 12, n_unscored };
    let (parameters, loss) = errors.minimise(&orders, vec![0.0; orders.n_parameters()], 50, &mut Scratch::default());
    let weights = Weights::of(&orders, &parameters, 12);
    let model = Model { orders, parameters, n_differences: d, n_cycle_differences: 1, steps: 12, weights, summing };
    (model, loss / errors.n_scored() as f64)
}

/// statsforecast 2.1.1, `ARIMA(method="CSS")` on the airline passengers: (1,1,0)(0,1,0) of the totals, whose forecasts
/// are those of its exact likelihood, (0,1,1)(0,1,1) of the totals, and of their logarithms (the airline model).
#[test]
fn conditional_sums_of_squares_give_the_references_weights() {
    let orders = Orders { ar: 1, ma: 0, cycle_ar: 0, cycle_ma: 0, has_mean: false };
    let (model, _) = estimated(&AIR_PASSENGERS, 1, orders, 1);
    assert!((model.weights.on_values[0].1 + 0.309_575).abs() < 1e-5, "{model:?}");
    let mut state = State::after(&AIR_PASSENGERS, &model);
    for expected in [444.310, 418.214, 446.243] {
        let point = state.step(f64::NAN, &model);
        assert!((point - expected).abs() < 2e-3, "{point}");
    }
    let airline = Orders { ar: 0, ma: 1, cycle_ar: 0, cycle_ma: 1, has_mean: false };
    for (values, step, cycle, expected) in [
        (AIR_PASSENGERS.to_vec(), -0.309_349, -0.112_821, 137.617),
        (AIR_PASSENGERS.map(f64::ln).to_vec(), -0.377_162, -0.572_379, 0.001_410_281),
    ] {
        let (model, variance) = estimated(&values, 1, airline, 0);
        let weights = &model.weights.on_errors;
        assert_eq!(weights.iter().map(|term| term.0).collect::<Vec<_>>(), [1, 12, 13]);
        assert!((weights[0].1 - step).abs() < 1e-3 && (weights[1].1 - cycle).abs() < 1e-3, "{weights:?}");
        assert!((weights[2].1 - weights[0].1 * weights[1].1).abs() < 1e-12, "{weights:?}");
        // The reference divides by the number of errors less that of weights.
        assert!((variance * 131.0 / 129.0 / expected - 1.0).abs() < 1e-3, "{variance}");
    }
}

#[test]
fn the_passengers_are_differenced_once_in_steps_and_once_in_cycles() {
    let fitted = fit(12, &AIR_PASSENGERS[..132]);
    let settings = fitted.settings();
    assert_eq!((settings["d"], settings["seasonal_d"]), (1.0, 1.0), "{settings:?}");
    let points = fitted.points(Horizon::new(12).unwrap());
    let error: f64 = points.iter().zip(&AIR_PASSENGERS[132..]).map(|(p, v)| (p - v).abs()).sum::<f64>() / 12.0;
    // Seasonal naive is off by 47.8.
    assert!(error < 24.0, "{error}");
}

#[test]
fn the_orders_are_near_those_that_made_the_series() {
    let mut noise = Noise::seeded(30);
    let shocks: Vec<f64> = (0..1200).map(|_| noise.normal()).collect();
    let moving: Vec<f64> = (1..1200).map(|t| 20.0 + shocks[t] + 0.8 * shocks[t - 1]).collect();
    let fitted = fit(1, &moving);
    // The first is the mean and 0.8 of the last shock, those after it the mean.
    let points = fitted.points(Horizon::new(30).unwrap());
    assert!((points[0] - 20.0 - 0.8 * shocks[1199]).abs() < 0.35 && (points[29] - 20.0).abs() < 0.35, "{points:?}");
    let walk = fit(1, &noise.walk(500, 1.0)).settings();
    assert_eq!(walk["d"], 1.0, "{walk:?}");
}

#[test]
fn gaps_are_bridged_and_values_taken_in_by_the_recursion() {
    let mut noise = Noise::seeded(14);
    let at = |t: usize| 50.0 + 0.1 * t as f64 + 8.0 * (t % 12) as f64;
    let mut values: Vec<f64> = (0..300).map(|t| at(t) + 0.3 * noise.normal()).collect();
    (values[40], values[100], values[101], values[299]) = (f64::NAN, f64::NAN, f64::NAN, f64::NAN);
    let mut fitted = fit(12, &values);
    for t in 300..340 {
        let value = if t == 320 { f64::NAN } else { at(t) };
        assert_eq!(fitted.update(value, Regressors::NONE), Updated::Filtered);
    }
    for (ahead, point) in fitted.points(Horizon::new(24).unwrap()).into_iter().enumerate() {
        assert!((point - at(340 + ahead)).abs() < 2.0, "{ahead}: {point}");
    }
}

#[test]
fn a_fitted_model_keeps_a_week_of_hours_in_less_than_four_kibibytes() {
    let mut noise = Noise::seeded(5);
    let values: Vec<f64> = (0..1000).map(|t| 10.0 + f64::from(t % 168 * 13 % 29) + noise.normal()).collect();
    let fitted = fit(168, &values);
    assert_eq!(fitted.settings()["seasonal_d"], 1.0);
    assert!(size_of::<FittedArima>() + fitted.n_bytes() < 4096, "{}", fitted.n_bytes());
}
