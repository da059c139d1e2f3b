//! What is usual now: a level that follows slowly, on top of a daily or weekly profile where one pays off.
//!
//! In: samples. Out: the usual value at a time and its deviation, learned from earlier samples only.
//!
//! Several hypotheses run side by side: the level alone, and the level on top of each profile. A profile is used once
//! it was seen for two cycles and predicts clearly better than the level alone, and dropped when it no longer does.

use super::profile::{Cycle, Profile, Spacing};
use super::registry::Settings;
use crate::series::{DAY, Millis, WEEK};

/// Weight of a sample in the level: half-life 200 samples.
const LEVEL_WEIGHT: f64 = 0.003_46;
/// Weight of a sample in the comparison of hypotheses: half-life 300 samples.
const ERROR_WEIGHT: f64 = 0.002_31;
/// Residuals are learned as at most so many deviations.
const CLIP: f64 = 3.0;
/// The same while the deviation itself is a guess.
const EARLY_CLIP: f64 = 6.0;
/// Samples during which it is one.
const EARLY: u32 = 30;
/// A profile is used below the first ratio of its error to the level's, and dropped above the second.
const PAYS_OFF: (f64, f64) = (0.85, 0.95);
/// The same for a season that was given.
const PAYS_OFF_GIVEN: (f64, f64) = (1.0, 1.1);
/// Bins of the daily and weekly profile.
const DAY_BINS: i64 = 96;
const WEEK_BINS: i64 = 168;

/// What is usual at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    pub(super) centre: f64,
    pub(super) sigma: f64,
}

/// The hypotheses and the one in use.
#[derive(Debug)]
pub(super) struct Baseline {
    // Until the samples' spacing is known, which takes a few of them.
    young: Option<Box<Young>>,
    plain: Level,
    seasonal: Box<[Seasonal]>,
    active: Option<u8>,
}

/// What is needed to lay profiles, and then no more.
#[derive(Debug)]
struct Young {
    settings: Settings,
    spacing: Spacing,
}

/// A profile with the level on top of it, and how both compare to the level alone.
#[derive(Debug)]
struct Seasonal {
    profile: Profile,
    level: Level,
    error: f64,
    plain_error: f64,
    n_compared: u32,
    is_given: bool,
}

/// A mean and variance that forget, deaf to single outliers.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    n: u32,
    mean: f64,
    variance: f64,
}

impl Level {
    fn sigma(&self) -> f64 {
        self.variance.sqrt()
    }

    fn learn(&mut self, value: f64, floor: f64, hold_variance: bool) {
        if self.n == 0 {
            self.mean = value;
        }
        let weight = LEVEL_WEIGHT.max(1.0 / (f64::from(self.n) + 1.0));
        let clip = match self.n {
            0..10 => f64::INFINITY,
            10..EARLY => EARLY_CLIP,
            _ => CLIP,
        };
        let reach = clip * self.sigma().max(floor);
        let off = (value - self.mean).clamp(-reach, reach);
        self.mean += weight * off;
        if !hold_variance {
            self.variance = (1.0 - weight) * (self.variance + weight * off * off);
        }
        self.n = self.n.saturating_add(1);
    }
}

impl Baseline {
    pub(super) fn new(settings: &Settings) -> Baseline {
        let mut baseline = Baseline { young: None, plain: Level::default(), seasonal: Box::default(), active: None };
        match settings.step {
            Some(step) => baseline.lay_profiles(settings, step.millis()),
            None => {
                let young = Young { settings: settings.clone(), spacing: Spacing::default() };
                baseline.young = Some(Box::new(young));
            }
        }
        baseline
    }

    fn lay_profiles(&mut self, settings: &Settings, spacing: Millis) {
        let seasonal = |cycle: Cycle, is_given: bool| Seasonal {
            profile: Profile::new(cycle),
            level: Level::default(),
            error: 0.0,
            plain_error: 0.0,
            n_compared: 0,
            is_given,
        };
        self.seasonal = match Cycle::given(settings, spacing) {
            Some(given) => Box::new([seasonal(given, true)]),
            None => {
                let cycles = [Cycle::new(DAY, spacing, DAY_BINS), Cycle::new(WEEK, spacing, WEEK_BINS)];
                cycles.into_iter().flatten().map(|cycle| seasonal(cycle, false)).collect()
            }
        };
    }

    /// What is usual at a time.
    pub(super) fn usual(&self, at: Millis) -> Usual {
        let seasonal = self.active.and_then(|idx| {
            let Seasonal { profile, level, .. } = &self.seasonal[usize::from(idx)];
            Some(Usual { centre: profile.expected(at)? + level.mean, sigma: level.sigma() })
        });
        seasonal.unwrap_or(Usual { centre: self.plain.mean, sigma: self.plain.sigma() })
    }

    /// Learns a value; `floor` is the least deviation to reckon with, `hold` keeps the deviation as it is. True when
    /// another hypothesis is in use from now on.
    pub(super) fn learn(&mut self, at: Millis, value: f64, floor: f64, hold: bool) -> bool {
        if let Some(spacing) = self.young.as_mut().and_then(|young| young.spacing.next(at))
            && let Some(young) = self.young.take()
        {
            self.lay_profiles(&young.settings, spacing);
        }
        let plain_off = value - self.plain.mean;
        let plain_reach = 5.0 * self.plain.sigma().max(floor);
        for seasonal in &mut self.seasonal {
            let Some(expected) = seasonal.profile.expected(at) else {
                let cut = plain_off.clamp(-plain_reach, plain_reach);
                let is_early = self.plain.n < EARLY;
                seasonal.profile.learn(at, if is_early { value } else { self.plain.mean + cut });
                continue;
            };
            let off = value - expected - seasonal.level.mean;
            let reach = CLIP * seasonal.level.sigma().max(floor);
            let is_early = seasonal.level.n < EARLY;
            let learned = if is_early { value } else { value - off + off.clamp(-reach, reach) };
            seasonal.compare(off, plain_off, 2.0 * plain_reach);
            seasonal.level.learn(value - expected, floor, hold);
            seasonal.profile.learn(at, learned);
        }
        self.plain.learn(value, floor, hold);
        let before = self.active;
        self.choose();
        self.active != before
    }

    /// The level moved by `offset`, once and for all.
    pub(super) fn shift(&mut self, offset: f64) {
        self.plain.mean += offset;
        for seasonal in &mut self.seasonal {
            seasonal.level.mean += offset;
        }
    }

    fn choose(&mut self) {
        if let Some(idx) = self.active.map(usize::from)
            && self.seasonal[idx].ratio() > self.seasonal[idx].pays_off().1
        {
            self.active = None;
        }
        for (idx, seasonal) in self.seasonal.iter().enumerate() {
            // A longer cycle must be clearly better than the one in use, not just as good.
            let active = self.active.map(usize::from);
            let to_beat = active.map_or(seasonal.pays_off().0, |active| 0.9 * self.seasonal[active].ratio());
            if active != Some(idx) && seasonal.is_ready() && seasonal.ratio() < to_beat {
                self.active = Some(idx as u8);
            }
        }
    }
}

impl Seasonal {
    fn pays_off(&self) -> (f64, f64) {
        if self.is_given { PAYS_OFF_GIVEN } else { PAYS_OFF }
    }

    fn compare(&mut self, off: f64, plain_off: f64, most: f64) {
        let weight = ERROR_WEIGHT.max(1.0 / (f64::from(self.n_compared) + 1.0));
        self.error += weight * (off.abs().min(most) - self.error);
        self.plain_error += weight * (plain_off.abs().min(most) - self.plain_error);
        self.n_compared = self.n_compared.saturating_add(1);
    }

    fn ratio(&self) -> f64 {
        if self.plain_error > 0.0 { self.error / self.plain_error } else { 1.0 }
    }

    fn is_ready(&self) -> bool {
        self.profile.is_complete() && self.n_compared as usize >= self.profile.n_bins().min(EARLY as usize)
    }
}
