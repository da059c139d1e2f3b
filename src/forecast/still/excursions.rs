//! The times at which a series that mostly stands still was away from where it usually is.
//!
//! In: its values. Out: how long each such time lasted, and how far off it was. What is usual is the median of the last
//! so many values.

/// The last so many of each length are remembered, to a factor of two.
const MOST_KNOWN: usize = 24;

/// Excursions that differ in size by more than this factor are not alike.
const ALIKE: f64 = 4.0;

/// Values one after the other at a level where the series usually was not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Excursion {
    /// How many values it lasted; the largest number there is for one that was for good.
    pub length: usize,
    /// How far off it was.
    pub size: f64,
}

impl Excursion {
    /// Whether the two differ in size by little.
    pub fn is_as_large_as(&self, size: f64) -> bool {
        self.size <= ALIKE * size && size <= ALIKE * self.size
    }
}

/// Whether `value` lies nearer to `one` than to `other`.
pub fn is_nearer(value: f64, one: f64, other: f64) -> bool {
    (value - one).abs() < (value - other).abs()
}

/// Whether each is nearer to the other than to `usual`.
pub fn is_one_level(one: f64, other: f64, usual: f64) -> bool {
    is_nearer(one, other, usual) && is_nearer(other, one, usual)
}

/// The excursions that have ended, or lasted `n_recent` values and so are for good; the last ones of each length.
pub fn excursions(values: &[f64], n_recent: usize) -> Vec<Excursion> {
    let usuals = usuals(values, n_recent);
    let mut known = Vec::new();
    let mut from = 0;
    while from < values.len() {
        let (level, usual) = (values[from], usuals[from]);
        if level == usual {
            from += 1;
            continue;
        }
        let goes_on = |value: &&f64| is_one_level(**value, level, usual);
        let length = values[from..].iter().take(n_recent).take_while(goes_on).count();
        let size = (level - usual).abs();
        if length == n_recent {
            known.push(Excursion { length: usize::MAX, size });
        } else if from + length < values.len() {
            known.push(Excursion { length, size });
        }
        // The next may begin before the end of this one, once this one's level is the usual one.
        from += usuals[from..from + length].iter().take_while(|now| !is_nearer(**now, level, usual)).count();
    }
    known.reverse();
    let mut n_known = [0; usize::BITS as usize];
    known.retain(|excursion| {
        let n_alike = &mut n_known[excursion.length.ilog2() as usize];
        *n_alike += 1;
        *n_alike <= MOST_KNOWN
    });
    known.shrink_to_fit();
    known
}

/// The middle one of the last `n_recent` values up to each, that one among them.
fn usuals(values: &[f64], n_recent: usize) -> Vec<f64> {
    let mut sorted: Vec<f64> = Vec::new();
    let above = |sorted: &[f64], value: f64| sorted.partition_point(|other| *other <= value);
    let mut usual = |(idx, &value): (usize, &f64)| {
        let oldest = idx.checked_sub(n_recent).map(|idx| values[idx]);
        // What comes is mostly what goes.
        if oldest != Some(value) {
            sorted.insert(above(&sorted, value), value);
            if let Some(oldest) = oldest {
                sorted.remove(above(&sorted, oldest) - 1);
            }
        }
        sorted[sorted.len() / 2]
    };
    values.iter().enumerate().map(&mut usual).collect()
}
