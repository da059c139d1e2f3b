//! The isolation forest on one series: points are what a sample does, not what it is.
//!
//! In: samples; each becomes three numbers: its distance from what is usual (the running median, or the season's
//! usual value when a season is known), its difference to the sample before, and how much the last samples moved.
//! Out: 0 for the median training point; the forest's most isolated training points stand just below 1. A forest
//! cannot tell how far out a point is beyond all it has seen, so that distance is added: it makes the score grow.
//!
//! The forest is grown anew after 64, 128, 256, 512 and then every 1,024 samples, from the last 1,024 that were not
//! far out, always from the same seed.

use std::collections::VecDeque;

use linfa::traits::Fit;
use linfa::{DatasetBase, ParamGuard};
use ndarray::Array2;

use super::super::contract::{Made, Method, flat};
use super::super::detector::{Detector, Score};
use super::super::profile::{Cycle, Profile, Spacing};
use super::super::registry::Settings;
use super::super::sorted::SortedWindow;
use super::IsolationForest;
use crate::series::{Millis, quantile_sorted};

/// How many numbers make a point.
const N_COLUMNS: usize = 3;
/// Samples that the running median is taken over.
const MEDIAN_WINDOW: usize = 65;
/// Differences that the movement is taken over.
const MOVE_WINDOW: usize = 8;
/// Points that a forest is grown from, at most and at least.
const MAX_POINTS: usize = 1024;
const MIN_POINTS: usize = 64;
/// Where the most isolated training point stands on the score.
const ISOLATED: f64 = 0.85;
/// Points above this score are not learned from ...
const FAR_OUT: f64 = 1.5;
/// ... unless so many come in a row: then that is how the series is now.
const ACCEPT_AFTER: usize = 32;

/// Builds the method.
pub(in crate::detect) fn build(settings: &Settings) -> Box<dyn Detector> {
    Made::detector(settings, |settings| Walking {
        settings: settings.clone(),
        spacing: Some(Spacing::default()),
        profile: None,
        median: SortedWindow::new(MEDIAN_WINDOW),
        moves: VecDeque::new(),
        before: None,
        has_moved: false,
        points: VecDeque::new(),
        n_until_growth: MIN_POINTS,
        next_wait: MIN_POINTS,
        grown: None,
        n_far_out: 0,
    })
}

type Point = [f64; N_COLUMNS];

/// A forest with what its training points scored.
#[derive(Debug)]
struct Grown {
    forest: IsolationForest,
    /// The scores of the median and of the most isolated training point.
    usual: f64,
    isolated: f64,
    /// The least and largest value per column.
    bounds: [(f64, f64); N_COLUMNS],
}

#[derive(Debug)]
struct Walking {
    settings: Settings,
    spacing: Option<Spacing>,
    profile: Option<Profile>,
    median: SortedWindow,
    moves: VecDeque<f64>,
    before: Option<f64>,
    has_moved: bool,
    points: VecDeque<Point>,
    n_until_growth: usize,
    next_wait: usize,
    grown: Option<Grown>,
    n_far_out: usize,
}

impl Method for Walking {
    fn judge(&mut self, at: Millis, value: f64) -> Option<Score> {
        if let Some(spacing) = self.spacing.as_mut().and_then(|spacing| spacing.next(at)) {
            self.spacing = None;
            self.profile = Cycle::given(&self.settings, spacing).map(Profile::new);
        }
        let slot = self.profile.as_ref().map_or(0.0, |profile| profile.shape(at));
        let residual = value - slot;
        let usual = if self.median.len() == 0 { residual } else { self.median.quantile(0.5) };
        let before = self.before.replace(value).unwrap_or(value);
        let moved = value - before;
        let is_first_move = moved != 0.0 && !self.has_moved;
        self.has_moved |= moved != 0.0;
        if self.moves.len() == MOVE_WINDOW {
            self.moves.pop_front();
        }
        self.moves.push_back(moved.abs());
        let movement = self.moves.iter().sum::<f64>() / self.moves.len() as f64;
        let point = [residual - usual, moved, movement];
        let score = self.grown.as_ref().map(|grown| {
            let odd = if self.has_moved && !is_first_move { grown.score(&point) } else { flat(value, before) };
            Score { value: odd, expected: Some(usual + slot), lower: None, upper: None }
        });
        if let Some(profile) = &mut self.profile {
            profile.learn(at, value);
        }
        self.median.push(residual);
        self.learn(point, score.map_or(0.0, |score| score.value));
        score
    }
}

impl Walking {
    fn learn(&mut self, point: Point, score: f64) {
        self.n_far_out = if score > FAR_OUT { self.n_far_out + 1 } else { 0 };
        if score <= FAR_OUT || self.n_far_out > ACCEPT_AFTER {
            if self.points.len() == MAX_POINTS {
                self.points.pop_front();
            }
            self.points.push_back(point);
        }
        self.n_until_growth -= 1;
        if self.n_until_growth == 0 {
            self.n_until_growth = self.next_wait;
            self.next_wait = (self.next_wait * 2).min(MAX_POINTS);
            self.grown = Grown::from(&self.points).or(self.grown.take());
        }
    }
}

impl Grown {
    fn from(points: &VecDeque<Point>) -> Option<Grown> {
        let rows = Array2::from_shape_fn((points.len(), N_COLUMNS), |(row, column)| points[row][column]);
        let params = IsolationForest::params().check().ok()?;
        let forest = params.fit(&DatasetBase::from(rows)).ok()?;
        let mut scores: Vec<f64> = points.iter().map(|point| forest.score(point)).collect();
        scores.sort_unstable_by(f64::total_cmp);
        let mut bounds = [(f64::INFINITY, f64::NEG_INFINITY); N_COLUMNS];
        for point in points {
            for (bound, &value) in bounds.iter_mut().zip(point) {
                *bound = (bound.0.min(value), bound.1.max(value));
            }
        }
        let at_share = |share| quantile_sorted(&scores, share);
        Some(Grown { usual: at_share(0.5)?, isolated: at_share(1.0)?, forest, bounds })
    }

    fn score(&self, point: &Point) -> f64 {
        let span = self.isolated - self.usual;
        let isolated = if span > 0.0 { ISOLATED * (self.forest.score(point) - self.usual) / span } else { 0.0 };
        let beyond = point.iter().zip(&self.bounds).map(|(&value, &bound)| overshoot(value, bound));
        isolated.max(0.0) + beyond.fold(0.0, f64::max)
    }
}

/// How far beyond the bounds, in half their distance.
pub(super) fn overshoot(value: f64, (low, high): (f64, f64)) -> f64 {
    let beyond = (low - value).max(value - high).max(0.0);
    let half = (high - low) / 2.0;
    if beyond == 0.0 {
        0.0
    } else if half > 0.0 {
        beyond / half
    } else {
        flat(value, low)
    }
}
