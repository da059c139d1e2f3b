//! The last values in order, for exact medians and quantiles of a sliding window.

use std::collections::VecDeque;

use crate::series::quantile_sorted;

/// From the mean absolute deviation to the standard deviation of a Gaussian: √(π/2).
pub(super) const MEAN_DEVIATION_TO_SIGMA: f64 = 1.253_314_137_315_500_3;
/// From the median absolute deviation to the standard deviation of a Gaussian.
pub(super) const MAD_TO_SIGMA: f64 = 1.482_602_218_505_602;

/// The last `capacity` values, by arrival and by size. None is NaN.
#[derive(Debug)]
pub(super) struct SortedWindow {
    capacity: usize,
    arrived: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl SortedWindow {
    pub(super) fn new(capacity: usize) -> SortedWindow {
        SortedWindow { capacity, arrived: VecDeque::new(), sorted: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn push(&mut self, value: f64) {
        if self.arrived.len() == self.capacity
            && let Some(oldest) = self.arrived.pop_front()
        {
            let idx = self.sorted.partition_point(|kept| kept.total_cmp(&oldest).is_lt());
            self.sorted.remove(idx);
        }
        let idx = self.sorted.partition_point(|kept| kept.total_cmp(&value).is_lt());
        self.sorted.insert(idx, value);
        self.arrived.push_back(value);
    }

    /// The value below which `share` of the window lies; 0 when empty.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        quantile_sorted(&self.sorted, share).unwrap_or(0.0)
    }

    /// Whether there is one value only, however often.
    pub(super) fn is_constant(&self) -> bool {
        self.sorted.first() == self.sorted.last()
    }

    /// The median distance from `centre`: the two ends of the order walk inwards until half is left.
    pub(super) fn mad(&self, centre: f64) -> f64 {
        let n = self.sorted.len();
        if n == 0 {
            return 0.0;
        }
        let (mut low, mut high) = (0, n - 1);
        let mut largest = 0.0;
        // Removing the upper half of the distances leaves the median at hand.
        for _ in 0..n.div_ceil(2) {
            let (below, above) = (centre - self.sorted[low], self.sorted[high] - centre);
            if below > above {
                largest = below;
                low += 1;
            } else {
                largest = above;
                if high == 0 {
                    break;
                }
                high -= 1;
            }
        }
        largest.max(0.0)
    }

    /// A standard deviation from the median absolute deviation; when more than half the values are the same, from the
    /// mean absolute deviation; 0 only when all are.
    pub(super) fn sigma(&self, centre: f64) -> f64 {
        let mad = self.mad(centre);
        if mad > 0.0 {
            return mad * MAD_TO_SIGMA;
        }
        let sum: f64 = self.sorted.iter().map(|value| (value - centre).abs()).sum();
        MEAN_DEVIATION_TO_SIGMA * sum / self.sorted.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{mad, median};

    #[test]
    fn the_window_knows_its_order() {
        let mut window = SortedWindow::new(7);
        let values: Vec<f64> = (0..60).map(|i| f64::from((i * 29) % 17)).collect();
        for (idx, &value) in values.iter().enumerate() {
            window.push(value);
            let seen = &values[idx.saturating_sub(6)..=idx];
            let centre = median(seen).unwrap();
            assert_eq!(window.quantile(0.5), centre);
            // An even count has two middle distances, of which the walk takes the larger.
            if seen.len() % 2 == 1 {
                assert_eq!(window.mad(centre), mad(seen, centre).unwrap(), "{idx}");
            }
        }
    }

    #[test]
    fn mostly_equal_values_still_have_a_spread() {
        let mut window = SortedWindow::new(10);
        for value in [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0] {
            window.push(value);
        }
        assert_eq!(window.mad(1.0), 0.0);
        assert!((window.sigma(1.0) - MEAN_DEVIATION_TO_SIGMA / 8.0).abs() < 1e-15);
        assert!(!window.is_constant());
    }
}
