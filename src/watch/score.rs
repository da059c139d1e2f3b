//! The scoring thread: stored history first, then what is observed, then results to disk, over and over.

use std::io;
use std::time::{Duration, Instant};

use super::queue::{Missed, Work};
use super::results::{self, Kind, anomaly_rows, day_of, incident_rows, scored_rows};
use super::scoring::{AHEAD, Origin, Scoring, by_series};
use super::standing::Shared;
use crate::series::{DAY, MINUTE, Millis, SECOND, Selector, Series, TimeRange};

/// Samples scored in one go, between which the thread rests and looks around; fewer while they flood in, so that the
/// machine is left to ingestion after a few hundredths of a second.
const CHUNK: usize = 100_000;
const FLOOD_CHUNK: usize = 20_000;
/// Samples one read of stored history has at most, about.
const READ: usize = 500_000;
/// The longest wait for something to do.
const TICK: Duration = Duration::from_millis(200);
/// How often incidents are made anew at most.
const REGROUP_EVERY: Duration = Duration::from_millis(500);
/// How often silent series leave, and their places are given to those that wait.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How long after a read of stored history the queue may still hold what was read.
const REPEATS: Duration = Duration::from_secs(5);

/// Runs until the loop stops and everything that was observed is scored and written.
pub(super) fn run(shared: &Shared, scoring: Scoring) {
    let mut thread = Thread {
        shared,
        scoring,
        flushed: Instant::now(),
        regrouped: Instant::now(),
        is_dirty: false,
        repeats_until: Instant::now(),
        renewed: Instant::now(),
        n_waiting: 0,
    };
    thread.backfill();
    loop {
        let chunk = if shared.queue.is_flooded() { FLOOD_CHUNK } else { CHUNK };
        match shared.queue.take(chunk, TICK) {
            Work::Batches(batches) => {
                let began = Instant::now();
                thread.feed(&by_series(&batches), Origin::Arrived, false);
                thread.rest(began, shared.settings.cpu_share);
            }
            Work::CatchUp(missed) => thread.catch_up(missed),
            Work::Nothing => {}
            Work::Stopped => break,
        }
        thread.look_around(false);
    }
    thread.look_around(true);
}

struct Thread<'a> {
    shared: &'a Shared,
    scoring: Scoring,
    flushed: Instant,
    regrouped: Instant,
    renewed: Instant,
    /// Series without a place when it was last told.
    n_waiting: u64,
    /// Until then what is queued may have been read from the store already: it repeats, and is not late.
    repeats_until: Instant,
    /// Whether something was scored since the last flush.
    is_dirty: bool,
}

impl Thread<'_> {
    /// Scores samples; `is_again` says that some may have been scored before, and are not late for that.
    fn feed(&mut self, gathered: &[Series], origin: Origin, is_again: bool) {
        let now = self.shared.now();
        let (mut n_scored, mut n_late, mut n_ahead, mut n_opened) = (0, 0, 0, 0);
        // In parts, so that questions for anomalies do not wait for a whole chunk.
        for part in gathered.chunks(64) {
            let mut anomalies = self.shared.anomalies.lock();
            let mut roster = self.shared.roster.lock();
            for series in part {
                let fed = self.scoring.feed(series, origin, now, &mut roster, &mut anomalies);
                n_scored += fed.n_scored;
                n_late += fed.n_late;
                n_ahead += fed.n_ahead;
                n_opened += fed.n_opened;
            }
        }
        self.is_dirty |= n_scored > 0;
        let mut figures = self.shared.figures.lock();
        figures.n_scored += n_scored;
        figures.n_opened += n_opened;
        figures.n_ahead += n_ahead;
        if !is_again && Instant::now() > self.repeats_until {
            figures.n_unscored += n_late;
        }
    }

    /// Scores the newest stored history: as far back as there is enough of it, from there on forwards.
    fn backfill(&mut self) {
        let settings = &self.shared.settings;
        let now = self.shared.now();
        let (first, end) = (now.saturating_sub(settings.backfill), now.saturating_add(AHEAD));
        let start = self.enough_since(first, end, settings.backfill_samples as u64);
        let newest = TimeRange::new(start, end).map(|range| self.shared.store.newest(&Selector::all(), range));
        match newest {
            Ok(Ok(newest)) => self.scoring.enlist(newest, now, &mut self.shared.roster.lock()),
            Ok(Err(error)) => tracing::error!(%error, "the series of stored history cannot be listed for scoring"),
            Err(_) => {}
        }
        self.read_back(start, end, Origin::Stored, settings.cpu_share.max(0.5));
        // Stopped half-way, the next start goes on from what was scored before this one.
        if !self.shared.queue.is_stopping() {
            self.scoring.end_backfill(&mut self.shared.anomalies.lock());
            self.shared.figures.lock().is_backfilled = true;
            self.repeats_until = Instant::now() + REPEATS;
        }
    }

    /// Scores what found the queue full, from the store.
    ///
    /// How far back is decided by what the store says it has, for the missed timestamps may lie anywhere: one sample of
    /// last year among today's makes the range a year long.
    fn catch_up(&mut self, missed: Missed) {
        let settings = &self.shared.settings;
        let now = self.shared.now();
        let end = missed.last.min(now.saturating_add(AHEAD)).saturating_add(1);
        let first = missed.first.min(end);
        let start = self.enough_since(first, end, settings.catch_up_samples as u64);
        if start > first {
            let n_skipped = self.n_stored(missed.first, start).min(missed.n);
            self.shared.figures.lock().n_unscored += n_skipped;
            tracing::warn!(n_skipped, "more samples came than can be scored; the oldest stay unscored");
        }
        // What is left when the loop stops is scored at the next start.
        self.read_back(start, end, Origin::Arrived, settings.cpu_share);
        self.repeats_until = Instant::now() + REPEATS;
    }

    /// From when on, not before `first`, the store has about so many samples up to `end` and not many more.
    fn enough_since(&self, first: Millis, end: Millis, n_samples: u64) -> Millis {
        let mut start = first;
        while end - start > SECOND && self.n_stored(start, end) > n_samples {
            start += (end - start) / 4;
        }
        start
    }

    /// Scores what the store has of this time, in parts cut by time, and of each a few series at a time: memory does not
    /// grow with what there is.
    fn read_back(&mut self, mut start: Millis, end: Millis, origin: Origin, share: f64) {
        while start < end && !self.shared.queue.is_stopping() {
            let mut until = end;
            while self.n_stored(start, until) > READ as u64 && until - start > SECOND {
                until = start + (until - start) / 2;
            }
            let began = Instant::now();
            let Ok(range) = TimeRange::new(start, until) else { return };
            let shared = self.shared;
            if let Err(error) = shared.store.show(&Selector::all(), range, |series| self.feed(&series, origin, true)) {
                tracing::error!(%error, "stored history cannot be read for scoring");
                return;
            }
            start = until;
            if origin == Origin::Arrived {
                self.look_around(false);
            }
            self.rest(began, share);
        }
    }

    /// About how many samples the store has of this time.
    fn n_stored(&self, start: Millis, end: Millis) -> u64 {
        TimeRange::new(start, end).map_or(0, |range| self.shared.store.n_about(range))
    }

    fn rest(&self, began: Instant, share: f64) {
        let worked = began.elapsed();
        self.shared.figures.lock().scoring_seconds += worked.as_secs_f64();
        self.shared.rest(worked, share);
    }

    /// Incidents, results, and what has gone silent.
    fn look_around(&mut self, is_last: bool) {
        let settings = &self.shared.settings;
        if is_last || self.regrouped.elapsed() >= REGROUP_EVERY {
            let reach = super::incidents::reach(&settings.incidents);
            let members = self.shared.anomalies.lock().take_ungrouped(reach);
            if let Some(members) = members {
                self.shared.incidents.lock().regroup(&members, &settings.incidents);
            }
            self.regrouped = Instant::now();
        }
        if self.renewed.elapsed() >= RENEW_EVERY {
            self.renewed = Instant::now();
            self.renew();
        }
        let flush_every = Duration::from_millis(u64::try_from(settings.flush_every).unwrap_or(0));
        if is_last || self.flushed.elapsed() >= flush_every {
            self.flushed = Instant::now();
            self.flush();
        }
    }

    /// Lets go of who is silent, and gives places to who waits.
    fn renew(&mut self) {
        let counts = {
            let mut anomalies = self.shared.anomalies.lock();
            let mut roster = self.shared.roster.lock();
            self.scoring.renew(self.shared.now(), &mut roster, &mut anomalies);
            roster.counts()
        };
        if counts.n_waiting > self.n_waiting {
            tracing::warn!(
                n_scored = counts.n_scored,
                n_waiting = counts.n_waiting,
                "there is no memory left to score every series; raise watch.memory, or have a preset leave some out"
            );
        }
        self.n_waiting = counts.n_waiting;
    }

    /// Writes what changed: anomalies, incidents, then up to when everything is scored, so that what is not written
    /// is found again after a crash.
    fn flush(&mut self) {
        let shared = self.shared;
        let now = shared.now();
        let outcome = self.flush_anomalies(now).and_then(|()| self.flush_incidents(now)).and_then(|()| {
            if std::mem::take(&mut self.is_dirty) {
                let rows = scored_rows(&self.scoring.scored())?;
                results::write_parquet(&shared.results.scored_path(), &rows)?;
            }
            shared.results.retire(now.saturating_sub(shared.settings.results_retention))
        });
        if let Err(error) = outcome {
            tracing::error!(%error, "results cannot be written; they are tried again");
            self.is_dirty = true;
            shared.figures.lock().n_failed_writes += 1;
        }
        shared.anomalies.lock().shrink(shared.settings.recent_anomalies);
        shared.incidents.lock().shrink(now.saturating_sub(30 * DAY).min(now - MINUTE));
    }

    fn flush_anomalies(&self, now: Millis) -> io::Result<()> {
        let mut changes = self.shared.anomalies.lock().take_dirty();
        while let Some((first, _)) = changes.first() {
            let day = day_of(first.0);
            let n = changes.iter().take_while(|(id, _)| day_of(id.0) == day).count();
            let rows = anomaly_rows(&changes[..n], now)?;
            if let Err(error) = self.shared.results.write(Kind::Anomalies, day, &rows) {
                self.shared.anomalies.lock().put_back(changes.into_iter().map(|(id, _)| id));
                return Err(error);
            }
            self.shared.figures.lock().n_result_rows += rows.num_rows() as u64;
            changes.drain(..n);
        }
        Ok(())
    }

    fn flush_incidents(&self, now: Millis) -> io::Result<()> {
        let mut changes = self.shared.incidents.lock().take_dirty();
        changes.sort_by_key(|(incident, _)| incident.start);
        while let Some((first, _)) = changes.first() {
            let day = day_of(first.start);
            let n = changes.iter().take_while(|(incident, _)| day_of(incident.start) == day).count();
            let rows = incident_rows(&changes[..n], now)?;
            if let Err(error) = self.shared.results.write(Kind::Incidents, day, &rows) {
                self.shared.incidents.lock().put_back(changes);
                return Err(error);
            }
            self.shared.figures.lock().n_result_rows += rows.num_rows() as u64;
            changes.drain(..n);
        }
        Ok(())
    }
}
