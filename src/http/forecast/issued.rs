//! How issued forecasts turned out, as JSON.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::answer::Time;
use crate::forecast::Tally;
use crate::series::{Millis, format_duration};
use crate::watch::IssuedAccuracy;

/// How issued forecasts turned out, over the last seven days.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct IssuedDoc {
    /// The first day that is told of.
    since: Time,
    /// Over all leads.
    #[serde(flatten)]
    overall: JudgedDoc,
    /// By how far ahead they spoke.
    by_lead: Vec<LeadDoc>,
}

/// Issued forecasts of one lead.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct LeadDoc {
    /// How far ahead.
    #[schema(example = "4h")]
    lead: String,
    #[serde(flatten)]
    judged: JudgedDoc,
}

/// What was forecast beside what came.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct JudgedDoc {
    /// Values compared.
    judged: u64,
    /// Mean absolute error.
    mae: Option<f64>,
    /// Mean of value minus forecast: above 0 the forecasts were too low.
    bias: Option<f64>,
    /// Mean absolute scaled error: 1 is as far off as seasonal naive one cycle ahead.
    mase: Option<f64>,
    /// Share of the values with a band that lay inside it.
    coverage: Option<f64>,
    /// What the bands promised.
    promised: Option<f64>,
}

impl IssuedDoc {
    pub(super) fn of(issued: IssuedAccuracy) -> IssuedDoc {
        let lead =
            |(lead, tally): &(Millis, Tally)| LeadDoc { lead: format_duration(*lead), judged: JudgedDoc::of(tally) };
        IssuedDoc {
            since: Time(issued.since),
            overall: JudgedDoc::of(&issued.overall),
            by_lead: issued.leads.iter().map(lead).collect(),
        }
    }
}

impl JudgedDoc {
    fn of(tally: &Tally) -> JudgedDoc {
        JudgedDoc {
            judged: tally.n(),
            mae: tally.mae(),
            bias: tally.bias(),
            mase: tally.mase(),
            coverage: tally.coverage(),
            promised: tally.promised(),
        }
    }
}
