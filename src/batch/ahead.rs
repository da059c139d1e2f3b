//! How far to look ahead, as people write it.

use std::str::FromStr;

use super::forecast::ForecastFailure;
use super::rows::Axis;
use crate::forecast::Horizon;
use crate::series::{DurationError, Millis, Step, parse_duration};

/// Steps beyond which a horizon is a mistake rather than a question.
pub(super) const LONGEST_HORIZON: usize = 100_000;

/// How far to look ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// So many steps of each series.
    Steps(Horizon),
    /// So much time; each series takes the steps that fill it.
    Span(Millis),
}

/// A text that is not a horizon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AheadError {
    /// Zero, or far too many.
    #[error("the horizon is `{0}`, but must be between 1 and {LONGEST_HORIZON} steps, or a duration such as 7d")]
    OutOfRange(String),
    /// Neither number nor duration.
    #[error("the horizon is neither a number of steps nor a duration: {0}")]
    NotADuration(#[from] DurationError),
}

impl FromStr for Ahead {
    type Err = AheadError;

    fn from_str(text: &str) -> Result<Ahead, AheadError> {
        let out_of_range = || AheadError::OutOfRange(text.to_owned());
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty() {
            let steps = text.parse().ok().filter(|steps| *steps <= LONGEST_HORIZON).and_then(Horizon::new);
            return steps.map(Ahead::Steps).ok_or_else(out_of_range);
        }
        match parse_duration(text)? {
            span if span > 0 => Ok(Ahead::Span(span)),
            _ => Err(out_of_range()),
        }
    }
}

impl Ahead {
    /// The horizon in steps of `step`, rounded up.
    pub(super) fn in_steps(self, axis: Axis, step: Step) -> Result<Horizon, ForecastFailure> {
        match (self, axis) {
            (Ahead::Steps(horizon), _) => Ok(horizon),
            (Ahead::Span(_), Axis::Steps) => Err(ForecastFailure::NoClock),
            (Ahead::Span(span), Axis::Time) => {
                let steps = (span - 1) / step.millis() + 1;
                usize::try_from(steps)
                    .ok()
                    .filter(|steps| *steps <= LONGEST_HORIZON)
                    .and_then(Horizon::new)
                    .ok_or(ForecastFailure::TooFar { span, step })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{DAY, HOUR};

    #[test]
    fn a_horizon_is_steps_or_a_duration() {
        assert_eq!("48".parse(), Ok(Ahead::Steps(Horizon::new(48).unwrap())));
        assert_eq!("7d".parse(), Ok(Ahead::Span(7 * DAY)));
        for text in ["0", "0s", "", "-3", "1.5", "week", "100001"] {
            assert!(text.parse::<Ahead>().is_err(), "{text}");
        }
        assert_eq!("-3".parse::<Ahead>(), Err(AheadError::OutOfRange("-3".to_owned())));
    }

    #[test]
    fn a_duration_is_rounded_up_to_whole_steps() {
        let steps = |span, step: u32| Ahead::Span(span).in_steps(Axis::Time, Step::seconds(step)).map(Horizon::steps);
        assert_eq!(steps(HOUR, 60).unwrap(), 60);
        assert_eq!(steps(HOUR + 1, 60).unwrap(), 61);
        assert_eq!(steps(1, 3600).unwrap(), 1);
        assert!(matches!(steps(7 * DAY, 1), Err(ForecastFailure::TooFar { .. })));
        assert!(matches!(Ahead::Span(DAY).in_steps(Axis::Steps, Axis::STEP), Err(ForecastFailure::NoClock)));
    }
}
