//! Why a question could not be understood or answered.

use crate::storage::SelectError;

/// Why a question could not be understood or answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A text that is no selector.
    #[error(
        "`{text}` is not a selector: {reason} at character {position}; write it like disk_used{{host=~\"web-.*\"}}"
    )]
    Selector {
        /// What was given.
        text: String,
        /// Where the trouble begins, in characters from 1.
        position: usize,
        /// What is wrong there.
        reason: String,
    },
    /// PromQL that is more than a selector.
    #[error("`{text}` is {what}; only plain selectors are understood so far, like disk_used{{host=~\"web-.*\"}}")]
    NotSelector {
        /// What was given.
        text: String,
        /// What it is: a function call, a range.
        what: &'static str,
    },
    /// A text that is no limit.
    #[error("`{text}` is not a limit: {reason}; write SELECTOR=VALUE, like 'disk_used{{host=\"a\"}}=100GiB'")]
    Limit {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text that is no instant.
    #[error("`{text}` is not a time: {reason}; write 2026-01-31T12:00:00Z, seconds since 1970, now, or now-1h")]
    Time {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A window that is not positive.
    #[error("a window of {0} ms is empty; ask for at least one millisecond, like 1h")]
    Window(i64),
    /// A step that is not positive.
    #[error("a step of {0} ms leads nowhere; ask for at least one millisecond, like 15s")]
    Step(i64),
    /// More points than an answer may have.
    #[error(
        "{n_steps} steps are more than the {limit} allowed for one series; ask for a larger step or a shorter range"
    )]
    TooManySteps {
        /// How many were asked for.
        n_steps: i64,
        /// How many are allowed.
        limit: i64,
    },
    /// A range longer than time is counted.
    #[error("the time range is longer than milliseconds can be counted; ask for a shorter one")]
    TooLong,
    /// More samples than one question may read.
    #[error(
        "about {n_samples} samples would have to be read, more than the {limit} allowed for one query (config: \
         http.max_query_samples); narrow the selector or shorten the time range"
    )]
    TooManySamples {
        /// About how many there are.
        n_samples: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// A range that ends before it starts.
    #[error(transparent)]
    Range(#[from] crate::series::TimeRangeError),
    /// The store could not read.
    #[error(transparent)]
    Select(#[from] SelectError),
}
