//! What of a long history a forecast is made from, and what is told of the rest.

use crate::forecast::{Horizon, SeasonChoice};
use crate::series::{History, Season, Step, Zone, format_duration};

use super::ahead::{Ahead, LONGEST_HORIZON};
use super::coarsen::{at_step, begun_at, begun_note};
use super::forecast::ForecastFailure;
use super::rows::Axis;

/// Cells that a forecast looks at unless more are asked for: five weeks of minutes, six years of hours. A week, the
/// longest cycle that minutes have, is then seen as often as it takes to be found and to be judged.
const USUAL_CELLS: usize = 50_400;

/// Horizons that it looks at at least, so that a long one has errors enough for a band.
const LEAST_HORIZONS: usize = 5;

/// A history as a model sees it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) history: History,
    pub(super) horizon: Horizon,
    /// The season asked for, in its steps.
    pub(super) season: SeasonChoice,
    /// Whether cells are means of the series' own.
    pub(super) is_mean: bool,
    /// What is not as the reader of the answer would think.
    pub(super) notes: Vec<String>,
    /// The same of a forecast from its end.
    pub(super) begun: Option<String>,
}

/// `history` for a look so far `ahead` with a `season` of the series' own steps: by a coarser step where the horizon, a
/// duration, has more points of its own than can be read, days being those of `zone`, and the newest `cells` of it, or
/// as many as are usual.
///
/// # Errors
/// When the horizon does not suit the series, or its steps are longer than all of it.
pub(super) fn shown(
    axis: Axis,
    history: History,
    ahead: Ahead,
    season: SeasonChoice,
    cells: Option<usize>,
    zone: Zone,
) -> Result<Shown, ForecastFailure> {
    let mut notes = Vec::new();
    let native = history.step();
    let step = match (ahead, axis) {
        (Ahead::Span(span), Axis::Time) => native.readable_for(span),
        (Ahead::Span(_), Axis::Steps) | (Ahead::Steps(_), _) => native,
    };
    let horizon = ahead.in_steps(axis, step)?;
    let is_mean = step != native;
    let (mut history, begun) = if is_mean {
        let coarse = at_step(&history, step, zone);
        let begun = begun_at(&coarse, &history).map(|at| begun_note(step, Some(at)));
        (coarse, begun)
    } else {
        (history, None)
    };
    // Only of longer steps there may be none.
    if let (true, Ahead::Span(span)) = (history.is_empty(), ahead) {
        return Err(ForecastFailure::TooYoung { span, step });
    }
    let season = match season {
        SeasonChoice::Steps(given) => in_cells(given, native, step),
        SeasonChoice::Auto | SeasonChoice::None => season,
    };
    if let (true, Ahead::Span(span)) = (is_mean, ahead) {
        let of_days = if step.is_of_days() { format!(" of whole days in {zone}") } else { String::new() };
        let n_own = native.count_in(span);
        let or = if n_own <= LONGEST_HORIZON { format!("; --horizon {n_own} forecasts each") } else { String::new() };
        notes.push(format!(
            "samples come every {native}, and {} has {n_own} of them: forecast every {step}, from means{of_days}{or}",
            format_duration(span),
        ));
    }
    let most = cells.unwrap_or_else(|| USUAL_CELLS.max(horizon.steps().saturating_mul(LEAST_HORIZONS)));
    if history.len() > most {
        let (n_all, left_out) = (history.len(), history.len() - most);
        notes.push(format!(
            "the oldest {left_out} of {n_all} steps are left out, to take no longer than it is worth; --cells {n_all} \
             looks at all"
        ));
        history = history.tail(most);
    }
    notes.extend(season_note(season, history.len()));
    Ok(Shown { history, horizon, season, is_mean, notes, begun })
}

/// A season of so many `native` steps in cells of `step`; none where it is not one cell long.
fn in_cells(season: Season, native: Step, step: Step) -> SeasonChoice {
    let n_per_cell = usize::try_from(step.millis() / native.millis()).unwrap_or(usize::MAX).max(1);
    let n_cells = (season.steps() as f64 / n_per_cell as f64).round() as usize;
    Season::new(n_cells).map_or(SeasonChoice::None, SeasonChoice::Steps)
}

/// What is to be said of a season that was given for a history of `n_cells`.
fn season_note(season: SeasonChoice, n_cells: usize) -> Option<String> {
    match season {
        SeasonChoice::Steps(season) if season.steps() >= n_cells => {
            Some(format!("a season of {} steps is longer than its {n_cells} steps: none is used", season.steps()))
        }
        SeasonChoice::Steps(season) if season.steps() > n_cells / 2 => Some(format!(
            "a season of {} steps was seen less than twice in {n_cells} steps: what repeats cannot be told from what \
             happened once",
            season.steps(),
        )),
        SeasonChoice::Steps(_) | SeasonChoice::Auto | SeasonChoice::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{DAY, HOUR, MINUTE, Millis};

    fn minutes(n: usize) -> History {
        History::new(0, Step::new(MINUTE).unwrap(), (0..n).map(|nr| nr as f64).collect())
    }

    #[test]
    fn five_weeks_of_minutes_are_seen_whole_and_more_is_told() {
        let steps = Ahead::Steps(Horizon::new(60).unwrap());
        let whole = shown(Axis::Time, minutes(50_400), steps, SeasonChoice::Auto, None, Zone::UTC).unwrap();
        assert_eq!((whole.history.len(), whole.notes), (50_400, Vec::new()));
        let cut = shown(Axis::Time, minutes(60_000), steps, SeasonChoice::Auto, None, Zone::UTC).unwrap();
        assert_eq!((cut.history.len(), cut.history.end()), (50_400, 60_000 * MINUTE));
        assert!(cut.notes[0].contains("oldest 9600 of 60000 steps") && cut.notes[0].contains("--cells 60000"));
        let asked = shown(Axis::Time, minutes(60_000), steps, SeasonChoice::Auto, Some(60_000), Zone::UTC).unwrap();
        assert_eq!((asked.history.len(), asked.notes.len()), (60_000, 0));
        // A long horizon takes errors of forecasts as long.
        let far = shown(
            Axis::Time,
            minutes(200_000),
            Ahead::Steps(Horizon::new(30_000).unwrap()),
            SeasonChoice::Auto,
            None,
            Zone::UTC,
        )
        .unwrap();
        assert_eq!(far.history.len(), 150_000);
    }

    #[test]
    fn a_duration_of_too_many_points_is_forecast_by_a_step_that_can_be_read() {
        let of_day = SeasonChoice::Steps(Season::new(1_440).unwrap());
        let week = shown(Axis::Time, minutes(86_400), Ahead::Span(7 * DAY), of_day, None, Zone::UTC).unwrap();
        // A day stays a day.
        assert_eq!(week.season, SeasonChoice::Steps(Season::new(144).unwrap()));
        assert_eq!((week.history.step(), week.history.end()), (Step::seconds(600), 86_400 * MINUTE));
        assert_eq!((week.horizon.steps(), week.history.len(), week.is_mean), (1_008, 8_640, true));
        assert!(week.notes[0].contains("every 10m") && week.notes[0].contains("--horizon 10080"), "{:?}", week.notes);
        assert_eq!(week.history.values().last(), Some(&86_394.5));
        // More than may be asked for is not advised.
        let year =
            shown(Axis::Time, minutes(86_400), Ahead::Span(365 * DAY), SeasonChoice::Auto, None, Zone::UTC).unwrap();
        assert!(year.notes[0].contains("525600 of them") && !year.notes[0].contains("--horizon"), "{:?}", year.notes);
        let day = shown(Axis::Time, minutes(50_400), Ahead::Span(DAY), SeasonChoice::Auto, None, Zone::UTC).unwrap();
        assert_eq!((day.horizon.steps(), day.is_mean, day.notes.len()), (1_440, false, 0));
        let decade = shown(Axis::Time, minutes(1_000), Ahead::Span(3_650 * DAY), SeasonChoice::Auto, None, Zone::UTC);
        let told = decade.unwrap_err().to_string();
        assert!(told.contains("shorter horizon") && told.contains("10y ahead"), "{told}");
    }

    #[test]
    fn a_day_that_has_begun_is_said_to_be_left_out() {
        let of = |n_hours: usize, span: Millis| {
            let hours = History::new(0, Step::new(HOUR).unwrap(), vec![1.0; n_hours]);
            shown(Axis::Time, hours, Ahead::Span(span), SeasonChoice::Auto, None, Zone::UTC).unwrap()
        };
        let days = of(10 * 24 + 5, 600 * DAY);
        assert_eq!((days.history.step(), days.history.end()), (Step::new(DAY).unwrap(), 10 * DAY));
        let told = days.begun.unwrap();
        assert!(told.contains("the last 1d began at 1970-01-11T00:00:00Z") && told.contains("first point"), "{told}");
        // The day is over with its last hour; and what is shorter than a day is laid back from the newest sample.
        assert_eq!((of(10 * 24, 600 * DAY).begun, of(10 * 24 + 5, 100 * DAY).begun), (None, None));
        let quarters = of(50 * 24 + 5, 400 * DAY);
        assert_eq!((quarters.is_mean, quarters.history.step().millis(), quarters.begun), (true, 6 * HOUR, None));
    }

    #[test]
    fn a_season_longer_than_half_the_history_is_told() {
        let of = |steps| SeasonChoice::Steps(Season::new(steps).unwrap());
        assert!(season_note(of(51), 100).unwrap().contains("less than twice"));
        assert!(season_note(of(100), 100).unwrap().contains("none is used"));
        assert_eq!((season_note(of(50), 100), season_note(SeasonChoice::Auto, 1)), (None, None));
    }
}
