//! What sysinfo does not tell and Linux does, in small files below `/proc`.
//!
//! In: the text of `/proc/stat`, `/proc/sys/fs/file-nr` and `/proc/sys/kernel/pid_max`, and the folder `/proc`.
//! Out: (metric, mode, value) with node-exporter's names. On other systems there are no such files, and so nothing.
//! Source: proc(5).

use std::fs;

/// Ticks per second in `/proc/stat` on every Linux there is (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;
/// The columns of the line `cpu`, which sums all CPUs.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
/// Single numbers of `/proc/stat`, and what node-exporter calls them.
const SINGLE: [(&str, &str); 4] = [
    ("ctxt", "node_context_switches_total"),
    ("processes", "node_forks_total"),
    ("procs_running", "node_procs_running"),
    ("procs_blocked", "node_procs_blocked"),
];

/// One number; `mode` is set for CPU seconds.
#[derive(Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) metric: &'static str,
    pub(super) mode: Option<&'static str>,
    pub(super) value: f64,
}

impl Reading {
    fn plain(metric: &'static str, value: f64) -> Reading {
        Reading { metric, mode: None, value }
    }
}

/// Everything there is; a file that cannot be read is left out.
pub(super) fn read() -> Vec<Reading> {
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    let mut all = parse_stat(&text("/proc/stat"));
    all.extend(parse_file_nr(&text("/proc/sys/fs/file-nr")));
    if let Ok(max) = text("/proc/sys/kernel/pid_max").trim().parse() {
        all.push(Reading::plain("node_processes_max_processes", max));
    }
    if let Some(n_processes) = count_processes() {
        all.push(Reading::plain("node_processes_pids", n_processes as f64));
    }
    all
}

fn parse_stat(text: &str) -> Vec<Reading> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut columns = line.split_ascii_whitespace();
        let name = columns.next().unwrap_or_default();
        if name == "cpu" {
            let ticks = columns.map_while(|column| column.parse::<u64>().ok());
            let seconds = ticks.map(|ticks| ticks as f64 / TICKS_PER_SECOND);
            let metric = "node_cpu_seconds_total";
            all.extend(MODES.into_iter().zip(seconds).map(|(mode, value)| Reading { metric, mode: Some(mode), value }));
        } else if let Some((_, metric)) = SINGLE.iter().find(|(known, _)| *known == name)
            && let Some(Ok(value)) = columns.next().map(str::parse)
        {
            all.push(Reading::plain(metric, value));
        }
    }
    all
}

/// Three columns: allocated, unused, maximum. An unlimited maximum is nearly 2^63, which limits nothing.
fn parse_file_nr(text: &str) -> Vec<Reading> {
    let columns: Vec<f64> = text.split_ascii_whitespace().map_while(|column| column.parse().ok()).collect();
    let [allocated, _, maximum] = columns[..] else {
        return Vec::new();
    };
    let mut all = vec![Reading::plain("node_filefd_allocated", allocated)];
    if maximum < 1e15 {
        all.push(Reading::plain("node_filefd_maximum", maximum));
    }
    all
}

/// Counts the numeric folders of `/proc`, a hundred times cheaper than reading every process.
fn count_processes() -> Option<usize> {
    let is_pid = |name: std::ffi::OsString| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let entries = fs::read_dir("/proc").ok()?;
    let n = entries.filter_map(Result::ok).filter(|entry| is_pid(entry.file_name())).count();
    (n > 0).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_by_column_and_by_name() {
        let text = "cpu  230866 0 9518 62247 967 0 98 8228 0 0\ncpu0 1 2 3 4\nintr 5 6\nctxt 7\nprocesses 8\nprocs_running x\n";
        let all = parse_stat(text);
        assert_eq!(all.len(), 10, "{all:?}");
        assert_eq!(all[0], Reading { metric: "node_cpu_seconds_total", mode: Some("user"), value: 2308.66 });
        assert_eq!(all[7], Reading { metric: "node_cpu_seconds_total", mode: Some("steal"), value: 82.28 });
        assert_eq!(
            all[8..],
            [Reading::plain("node_context_switches_total", 7.0), Reading::plain("node_forks_total", 8.0)]
        );
        assert_eq!(parse_stat("nonsense\n\ncpu\n"), []);
    }

    #[test]
    fn open_files_have_a_maximum_unless_it_is_none() {
        assert_eq!(parse_file_nr("1184\t0\t812000\n").len(), 2);
        assert_eq!(parse_file_nr("1184\t0\t9223372036854775807\n"), [Reading::plain("node_filefd_allocated", 1184.0)]);
        assert_eq!(parse_file_nr(""), []);
    }
}
