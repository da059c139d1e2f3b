//! The chance that a drifting, wandering level has reached a limit by some time, in closed form.
//!
//! Source: the first passage of Brownian motion with drift (inverse Gaussian law; Chhikara and Folks, 1989), and its
//! mixture over a normal drift. Used where no dates are asked for, only a probability, and to check the paths.

use statrs::function::erf::erfc;

/// The standard normal distribution function.
fn phi(x: f64) -> f64 {
    0.5 * erfc(-x / std::f64::consts::SQRT_2)
}

/// Its logarithm, also where the function itself underflows.
fn ln_phi(x: f64) -> f64 {
    if x > -30.0 {
        phi(x).ln()
    } else {
        // Mills' ratio; the next term is 1/x^2, below a thousandth here.
        -0.5 * x * x - (-x).ln() - 0.5 * (2.0 * std::f64::consts::PI).ln()
    }
}

/// The probability that a level `distance` below its limit has reached it after `time`, drifting by `drift` and
/// wandering by `wander` (standard deviation per square root of time).
pub fn crossing_probability(distance: f64, drift: f64, wander: f64, time: f64) -> f64 {
    crossing_probability_unsure(distance, drift, 0.0, wander, time)
}

/// As [`crossing_probability`], for a drift known only up to its standard error.
pub fn crossing_probability_unsure(distance: f64, drift: f64, drift_error: f64, wander: f64, time: f64) -> f64 {
    if distance <= 0.0 {
        return 1.0;
    }
    if time <= 0.0 || !distance.is_finite() {
        return 0.0;
    }
    let variance = drift_error * drift_error;
    let spread = (wander * wander * time + variance * time * time).sqrt();
    if spread <= 0.0 {
        return if drift * time >= distance { 1.0 } else { 0.0 };
    }
    let straight = phi((drift * time - distance) / spread);
    if wander <= 0.0 {
        return straight;
    }
    let k = 2.0 * distance / (wander * wander);
    let ln_returned = k * drift + 0.5 * k * k * variance + ln_phi((-(drift + k * variance) * time - distance) / spread);
    let returned = if ln_returned.is_finite() { ln_returned.exp() } else { 0.0 };
    (straight + returned).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_gaussian_table_holds() {
        // distance, drift, wander; probabilities at 5, 10, 20, 40, 80. Computed with SciPy's invgauss.
        let table = [
            (10.0, 1.0, 1.0, [0.017453, 0.561607, 0.992106, 1.0, 1.0]),
            (10.0, 1.0, 3.0, [0.344978, 0.661556, 0.888922, 0.981871, 0.999130]),
            (20.0, 0.5, 2.0, [0.000082, 0.014584, 0.190862, 0.616163, 0.927309]),
            (10.0, 0.0, 1.0, [0.000008, 0.001565, 0.025347, 0.113846, 0.263552]),
            (10.0, -0.2, 2.0, [0.015078, 0.066764, 0.151162, 0.238195, 0.305308]),
            (30.0, 1.0, 5.0, [0.022292, 0.165850, 0.467064, 0.772108, 0.944870]),
        ];
        for (distance, drift, wander, expected) in table {
            for (time, expected) in [5.0, 10.0, 20.0, 40.0, 80.0].into_iter().zip(expected) {
                let got = crossing_probability(distance, drift, wander, time);
                assert!((got - expected).abs() < 2e-6, "{distance} {drift} {wander} {time}: {got} {expected}");
            }
        }
    }

    #[test]
    fn an_unsure_drift_spreads_the_crossing() {
        let times = [5.0, 10.0, 20.0, 40.0, 80.0];
        let checks = [
            (10.0, 1.0, 0.6, 3.0, [0.357228, 0.641585, 0.829727, 0.919164, 0.955750]),
            (10.0, 0.2, 0.1f64.sqrt(), 1.0, [0.000739, 0.047868, 0.260860, 0.499647, 0.643500]),
        ];
        for (distance, drift, error, wander, expected) in checks {
            for (time, expected) in times.into_iter().zip(expected) {
                let got = crossing_probability_unsure(distance, drift, error, wander, time);
                assert!((got - expected).abs() < 5e-6, "{time}: {got} {expected}");
            }
        }
    }

    #[test]
    fn the_edges_are_defined() {
        assert_eq!(crossing_probability(0.0, 1.0, 1.0, 1.0), 1.0);
        assert_eq!(crossing_probability(5.0, 1.0, 0.0, 4.0), 0.0);
        assert_eq!(crossing_probability(5.0, 1.0, 0.0, 5.0), 1.0);
        assert!(crossing_probability(1e6, 1e3, 1e-3, 1e4).is_finite());
        assert_eq!(crossing_probability(1e9, -1.0, 1.0, 1e9), 0.0);
    }
}
