//! `barograph demo`: the whole loop on a temporary directory, told as it happens.
//!
//! The server that runs is the one of `serve`; everything told here is asked of it over HTTP, as anyone could.

pub(super) mod client;
mod record;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::Utc;
use serde_json::Value;

use crate::batch::short;
use crate::config::{Config, HostSettings};
use crate::http::{ServeError, Server};
use crate::series::{DAY, HOUR, Millis, format_duration};

use super::Failure;
use super::serve::{runtime, stop_asked};
use client::Client;
use record::{Event, Record};

/// Samples per request of the replay.
const LINES_PER_PUSH: usize = 5_000;
/// How often this machine is recorded.
const HOST_EVERY: Duration = Duration::from_secs(2);
/// How long the demo waits for something to show before it says that there was nothing.
const PATIENCE: Duration = Duration::from_secs(55);
/// How far the forecast that is shown looks ahead.
const HORIZON: &str = "1d";
/// How far the capacity answer that is shown looks ahead.
const CAPACITY_HORIZON: &str = "180d";

/// See it all work: recording, forecast, anomalies, an incident and capacity advice within a minute
///
/// Starts the server on a temporary directory that removes itself, replays the sample history of `data/` so that it
/// ends now, records this machine beside it, and tells what the server finds. Runs until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  barograph demo\n  barograph demo --once")]
pub(super) struct Arguments {
    /// Stop after the report instead of serving until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// The address to listen on; when the usual one is taken, any free port is.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The folder of Parquet or CSV files to replay; default the project's `data/`.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let started = Instant::now();
    let folder = record::folder(arguments.data_dir)?;
    let scratch = tempfile::Builder::new().prefix("barograph-demo-").tempdir().context("no temporary directory")?;
    let mut config = Config {
        data: scratch.path().to_owned(),
        host: HostSettings { enabled: true, every: HOST_EVERY },
        ..Config::default()
    };
    let is_any_port_fine = arguments.listen.is_none();
    config.listen = arguments.listen.unwrap_or(config.listen);
    let runtime = runtime()?;
    runtime.block_on(async {
        let server = start(config, is_any_port_fine).await?;
        let address = server.address();
        let telling =
            tokio::task::spawn_blocking(move || Teller { client: Client::new(address), started }.tell(&folder));
        let mut is_stopped = false;
        tokio::select! {
            told = telling => told.context("the demo's narrator died")??,
            asked = stop_asked() => { asked?; is_stopped = true; }
        }
        if !arguments.once && !is_stopped {
            println!("\nThis machine is being recorded all the while. Ctrl-C stops and removes everything.");
            stop_asked().await?;
        }
        server.shutdown().await?;
        Ok(())
    })
}

async fn start(mut config: Config, is_any_port_fine: bool) -> Result<Server, ServeError> {
    match Server::start(config.clone()).await {
        Err(ServeError::PortInUse { .. }) if is_any_port_fine => {
            config.listen = "127.0.0.1:0".to_owned();
            Server::start(config).await
        }
        outcome => outcome,
    }
}

/// Replays, asks and tells.
struct Teller {
    client: Client,
    started: Instant,
}

impl Teller {
    fn tell(&self, folder: &std::path::Path) -> anyhow::Result<()> {
        println!("barograph demo, listening on {}\n", self.client.url("", &[]));
        let now = Utc::now().timestamp_millis();
        let record = Record::read(folder, now)?;
        self.say(&format!(
            "replaying {} of sample history: {} series, {} samples",
            format_duration(record.span() / HOUR * HOUR),
            record.keys.len(),
            record.samples.len()
        ));
        let mut n_accepted = 0;
        for piece in record.pieces(LINES_PER_PUSH) {
            n_accepted += self.client.push(&piece)?;
        }
        self.say(&format!("{n_accepted} samples acknowledged, each on disk before its acknowledgement"));

        let series = self.tell_forecast(&record)?;
        let anomalies = self.wait_for("anomaly", || self.true_anomaly(&record, now))?;
        if let Some(text) = &anomalies {
            self.say(text);
        }
        if let Some(text) = self.wait_for("incident", || self.incident(now, record.span()))? {
            self.say(&text);
        }
        if let Some(text) = self.wait_for("capacity answer", || self.capacity(&record))? {
            self.say(&text);
        }
        self.tell_host()?;

        let start = format!("now-{}", format_duration((record.span() / DAY + 1) * DAY));
        println!("\nTry it yourself:");
        for (path, parameters) in [
            ("/api/v1/forecast", vec![("match", series.as_str()), ("horizon", "7d")]),
            ("/api/v1/anomalies", vec![("start", start.as_str())]),
            ("/api/v1/incidents", vec![("start", start.as_str())]),
            ("/api/v1/capacity", vec![]),
            ("/api/v1/stats", vec![("match", series.as_str()), ("window", "1h,24h,7d")]),
            ("/metrics", vec![]),
            ("/openapi.json", vec![]),
        ] {
            println!("  curl '{}'", self.client.url(path, &parameters));
        }
        Ok(())
    }

    fn say(&self, text: &str) {
        println!("[{:>4.1} s] {text}", self.started.elapsed().as_secs_f64());
    }

    /// Asks until there is an answer; says so when there is none in time.
    fn wait_for(&self, what: &str, ask: impl Fn() -> anyhow::Result<Option<String>>) -> anyhow::Result<Option<String>> {
        loop {
            // A series of this machine that has just begun may make an answer fail for a moment; ask again.
            let last_error = match ask() {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => None,
                Err(error) => Some(error),
            };
            if self.started.elapsed() > PATIENCE {
                if let Some(error) = last_error {
                    return Err(error);
                }
                self.say(&format!("no {what} yet; ask again later with the URLs below"));
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// Shows the forecast that beats the naive one by most among one series of each metric; answers its series.
    fn tell_forecast(&self, record: &Record) -> anyhow::Result<String> {
        let mut metrics: Vec<&str> = Vec::new();
        let mut best: Option<(f64, String, Value)> = None;
        for key in &record.keys {
            if metrics.contains(&key.metric()) {
                continue;
            }
            metrics.push(key.metric());
            // The first answer is what a newcomer waits for; a better one is worth a few more seconds only.
            if best.is_some() && self.started.elapsed() > Duration::from_secs(10) {
                break;
            }
            let series = key.to_string();
            // One series without a forecast is no reason to stop; none at all is, below.
            let Ok(answer) = self.client.get("/api/v1/forecast", &[("match", &series), ("horizon", HORIZON)]) else {
                continue;
            };
            let Some(forecast) = answer.pointer("/forecasts/0").filter(|it| it.get("points").is_some()) else {
                continue;
            };
            let number = |path: &str| forecast.pointer(path).and_then(Value::as_f64);
            let ratio = match (number("/accuracy/mae"), number("/accuracy/baseline_mae")) {
                (Some(mae), Some(baseline)) if baseline > 0.0 => mae / baseline,
                _ => f64::MAX,
            };
            if best.as_ref().is_none_or(|(least, ..)| ratio < *least) {
                best = Some((ratio, series, forecast.clone()));
            }
        }
        let (_, series, forecast) = best.context("no series of the sample history could be forecast")?;
        self.say(&forecast_text(&series, &forecast));
        Ok(series)
    }

    /// An anomaly that the server found where the makers of the data put one.
    fn true_anomaly(&self, record: &Record, now: Millis) -> anyhow::Result<Option<String>> {
        let start = format!("{}", (now - record.span() - HOUR) / 1000);
        let answer = self.client.get("/api/v1/anomalies", &[("start", &start)])?;
        let anomalies = answer.get("anomalies").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut found: Vec<(&Value, &Event)> = anomalies
            .iter()
            .filter_map(|anomaly| Some((anomaly, record.events.iter().find(|event| is_of(anomaly, event))?)))
            .collect();
        found.sort_by(|a, b| score(b.0).total_cmp(&score(a.0)));
        let Some((anomaly, event)) = found.first() else { return Ok(None) };
        let n_events =
            record.events.iter().filter(|event| anomalies.iter().any(|anomaly| is_of(anomaly, event))).count();
        Ok(Some(format!(
            "anomaly in {}: {}\n         {} to {}, kind {}, score {}\n         \
             true: {} (so far {n_events} of the {} events in the history were found, by {} anomalies)",
            text(anomaly, "series"),
            text(anomaly, "explanation"),
            text(anomaly, "start"),
            text(anomaly, "end"),
            text(anomaly, "kind"),
            short(score(anomaly)),
            event.note,
            record.events.len(),
            anomalies.len(),
        )))
    }

    /// The incident that the most series are part of.
    fn incident(&self, now: Millis, span: Millis) -> anyhow::Result<Option<String>> {
        let start = format!("{}", (now - span - HOUR) / 1000);
        let answer = self.client.get("/api/v1/incidents", &[("start", &start)])?;
        let incidents = answer.get("incidents").and_then(Value::as_array).cloned().unwrap_or_default();
        // Series rather than members: one series that is odd five times explains nothing.
        let n_series = |incident: &Value| {
            let members = incident.get("members").and_then(Value::as_array);
            let names: std::collections::BTreeSet<&str> =
                members.into_iter().flatten().map(|member| text(member, "series")).collect();
            names.len()
        };
        let Some(incident) = incidents.iter().max_by_key(|incident| n_series(incident)) else { return Ok(None) };
        let causes = incident.get("causes").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut told = format!("incident at {}: {}", text(incident, "start"), text(incident, "summary"));
        for (nth, cause) in causes.iter().take(3).enumerate() {
            told.push_str(&format!("\n         {}. {}: {}", nth + 1, text(cause, "series"), text(cause, "reason")));
        }
        Ok(Some(told))
    }

    /// The series that runs out soonest among those whose history is long enough for the whole question, rather one of
    /// which the makers of the data say when it really does.
    fn capacity(&self, record: &Record) -> anyhow::Result<Option<String>> {
        let answer = self.client.get("/api/v1/capacity", &[("horizon", CAPACITY_HORIZON)])?;
        let fleet = answer.get("series").and_then(Value::as_array).cloned().unwrap_or_default();
        let now = Utc::now().timestamp_millis();
        // While the replay is still being scored, answers are about its beginning: those wait.
        let is_ahead = |it: &&Value| instant(it.pointer("/exhaustion/p50")).is_some_and(|at| at > now);
        let is_whole = |it: &&Value| text(it, "horizon") == CAPACITY_HORIZON;
        let truth_of = |it: &Value| record.crossings.iter().find(|crossing| crossing.selector == text(it, "series"));
        let answers: Vec<&Value> = fleet.iter().filter(is_ahead).filter(is_whole).collect();
        let known = answers.iter().find(|it| truth_of(it).is_some());
        let Some(&shown) = known.or(answers.first()) else { return Ok(None) };
        let truth = truth_of(shown).map_or_else(String::new, |crossing| {
            format!("\n         true: {} ({})", date_of(crossing.at), crossing.note)
        });
        let date = |name: &str| {
            let at = instant(shown.pointer(&format!("/exhaustion/{name}")));
            at.map_or_else(|| "beyond the horizon".to_owned(), date_of)
        };
        Ok(Some(format!(
            "capacity of {}: expected {} (10 %: {}, 90 %: {})\n         {}{truth}\n         \
             ({} series with a limit, soonest first, under /api/v1/capacity)",
            text(shown, "series"),
            date("p50"),
            date("p10"),
            date("p90"),
            text(shown, "recommendation"),
            fleet.len(),
        )))
    }

    /// What is recorded of this machine.
    fn tell_host(&self) -> anyhow::Result<()> {
        let answer = self.client.get("/api/v1/stats", &[("match", "node_load1"), ("window", "1m")])?;
        let loads = answer.get("series").and_then(Value::as_array).map_or(0, Vec::len);
        let rss = resident_bytes().map_or(String::new(), |bytes| format!("; this process holds {} MiB", bytes >> 20));
        self.say(&format!(
            "this machine is recorded every {} s beside the sample history (node_load1 has {loads} series){rss}",
            HOST_EVERY.as_secs()
        ));
        Ok(())
    }
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or("?")
}

fn score(anomaly: &Value) -> f64 {
    anomaly.get("score").and_then(Value::as_f64).unwrap_or(0.0)
}

/// The instant that `value` writes in RFC 3339.
fn instant(value: Option<&Value>) -> Option<Millis> {
    chrono::DateTime::parse_from_rfc3339(value?.as_str()?).ok().map(|at| at.timestamp_millis())
}

fn date_of(at: Millis) -> String {
    chrono::DateTime::from_timestamp_millis(at).map_or_else(|| "?".to_owned(), |at| at.format("%Y-%m-%d").to_string())
}

/// Whether the anomaly is of the event's series and overlaps it in time.
fn is_of(anomaly: &Value, event: &Event) -> bool {
    let at = |name: &str| instant(anomaly.get(name));
    let (Some(start), Some(end)) = (at("start"), at("end")) else { return false };
    text(anomaly, "series") == event.selector && start <= event.end && end >= event.start
}

fn forecast_text(series: &str, forecast: &Value) -> String {
    let points = forecast.get("points").and_then(Value::as_array).cloned().unwrap_or_default();
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_f64);
    let shown = |point: &Value| {
        let value = number(point, "value").map_or("?".to_owned(), short);
        match (number(point, "lower"), number(point, "upper")) {
            (Some(lower), Some(upper)) => format!("{value} ({} to {})", short(lower), short(upper)),
            _ => value,
        }
    };
    let at_share = |share: usize| points.get((points.len() * share / 4).min(points.len().saturating_sub(1)));
    let along: Vec<String> = (1..=4)
        .filter_map(at_share)
        .map(|point| format!("{} {}", &text(point, "time").get(11..16).unwrap_or("?"), shown(point)))
        .collect();
    let accuracy = |name: &str| forecast.pointer(&format!("/accuracy/{name}")).and_then(Value::as_f64).map(short);
    let proof = match (accuracy("mae"), accuracy("baseline_mae")) {
        (Some(mae), Some(baseline)) => {
            format!("; on its own past it missed by {mae} on average, seasonal naive by {baseline}")
        }
        _ => String::new(),
    };
    format!(
        "forecast of {series} for the next {HORIZON}, by {} (band {} %){proof}\n         {}",
        text(forecast, "model"),
        forecast.get("level").and_then(Value::as_f64).map_or("?".to_owned(), |level| short(level * 100.0)),
        along.join(",  ")
    )
}

/// The process's resident memory, where the system tells.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
