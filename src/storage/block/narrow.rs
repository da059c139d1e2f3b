//! Numbers of a column that lie near each other, in four bytes each.

/// Whole numbers, in four bytes each as long as all of them are near the first.
#[derive(Clone, Debug, Default)]
pub(super) struct Narrow {
    first: i64,
    // Of each how far it lies from the first.
    near: Vec<i32>,
    // All of them, as soon as one lies too far away.
    far: Vec<i64>,
}

impl Narrow {
    pub(super) fn push(&mut self, number: i64) {
        if !self.far.is_empty() {
            self.far.push(number);
            return;
        }
        if self.near.is_empty() {
            self.first = number;
        }
        match number.checked_sub(self.first).and_then(|distance| i32::try_from(distance).ok()) {
            Some(distance) => self.near.push(distance),
            None => {
                self.far.reserve(self.near.capacity());
                self.far.extend(self.near.iter().map(|distance| self.first + i64::from(*distance)));
                self.far.push(number);
                self.near = Vec::new();
            }
        }
    }

    /// Puts another number in the place of the last, which there is.
    pub(super) fn replace_last(&mut self, number: i64) {
        if self.far.pop().or(self.near.pop().map(i64::from)).is_some() {
            self.push(number);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.near.len().max(self.far.len())
    }

    /// # Panics
    /// When there are no more than `place` of them.
    #[inline]
    pub(super) fn get(&self, place: usize) -> i64 {
        match self.near.get(place) {
            Some(distance) => self.first + i64::from(*distance),
            None => self.far[place],
        }
    }

    pub(super) fn reserve_exact(&mut self, n: usize) {
        self.near.reserve_exact(n);
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.near.shrink_to_fit();
        self.far.shrink_to_fit();
    }

    /// Bytes of memory they take.
    pub(super) fn n_bytes(&self) -> usize {
        self.near.capacity() * size_of::<i32>() + self.far.capacity() * size_of::<i64>()
    }
}

impl PartialEq for Narrow {
    fn eq(&self, other: &Narrow) -> bool {
        self.len() == other.len() && (0..self.len()).all(|place| self.get(place) == other.get(place))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_near_and_far_come_back(
            mut numbers in prop::collection::vec(prop_oneof![-100..100_i64, any::<i32>().prop_map(i64::from), any::<i64>()], 1..40),
            last in any::<i64>(),
        ) {
            let mut narrow = Narrow::default();
            numbers.iter().for_each(|number| narrow.push(*number));
            for is_replaced in [false, true] {
                if is_replaced {
                    narrow.replace_last(last);
                    *numbers.last_mut().unwrap() = last;
                }
                prop_assert_eq!(narrow.len(), numbers.len());
                prop_assert!(numbers.iter().enumerate().all(|(place, number)| narrow.get(place) == *number));
            }
        }
    }

    #[test]
    fn the_times_of_a_block_take_four_bytes_each() {
        let mut narrow = Narrow::default();
        (0..1_000).for_each(|number| narrow.push(1_700_000_000_000 - number * 2_000_000));
        narrow.shrink_to_fit();
        assert_eq!(narrow.n_bytes(), 4_000);
        narrow.push(0);
        assert_eq!((narrow.get(0), narrow.get(999), narrow.get(1_000)), (1_700_000_000_000, 1_698_002_000_000, 0));
    }
}
