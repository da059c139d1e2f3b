//! This machine as a source of samples: CPU, memory, disk, network, load.
//!
//! In: what the operating system says, through the sysinfo crate, and on Linux a few files below `/proc` for what
//! sysinfo has not, such as the CPU's time per mode. Out: a batch of a few dozen series, each with the label `host`.
//!
//! Names and labels follow Prometheus' node-exporter where it has them, so that dashboards and the `node` preset
//! fit both; CPU seconds are summed over the CPUs to keep the number of series small. Series that node-exporter
//! leaves to PromQL, such as `node_cpu_usage_ratio`, are added because forecasts and limits need them as series.
//! A number the system does not tell is left out, never zero.

mod proc_files;

use sysinfo::{CpuRefreshKind, DiskRefreshKind, Disks, MemoryRefreshKind, Networks, RefreshKind, System};

use crate::series::{Batch, Key, LabelLimits, Labels, METRIC_NAME, Millis, Sample};

/// More interfaces or disks than this, as on a container host, are noise; the first by name are kept.
const MAX_DEVICES: usize = 8;
/// Interfaces that come and go with containers.
const VIRTUAL_INTERFACES: [&str; 6] = ["veth", "cali", "flannel", "cni", "lxc", "br-"];

/// Reads this machine's state, a few milliseconds per reading.
#[derive(Debug)]
pub struct HostCollector {
    system: System,
    disks: Disks,
    networks: Networks,
    host: String,
    // CPU usage is the share since the reading before, so the first reading has none.
    has_usage: bool,
}

impl Default for HostCollector {
    fn default() -> Self {
        HostCollector::new()
    }
}

impl HostCollector {
    /// A collector whose series carry this machine's name.
    pub fn new() -> HostCollector {
        let refresh = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_cpu_usage())
            .with_memory(MemoryRefreshKind::everything());
        HostCollector {
            system: System::new_with_specifics(refresh),
            disks: Disks::new(),
            networks: Networks::new(),
            host: System::host_name().filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned()),
            has_usage: false,
        }
    }

    /// Reads everything once and stamps it with `now`.
    pub fn collect(&mut self, now: Millis) -> Batch {
        let mut reading = Reading { batch: Batch::with_capacity(64), host: &self.host, now };
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        self.disks.refresh_specifics(true, DiskRefreshKind::nothing().with_storage().with_io_usage());
        self.networks.refresh(true);
        if std::mem::replace(&mut self.has_usage, true) {
            reading.gauge("node_cpu_usage_ratio", f64::from(self.system.global_cpu_usage()) / 100.0);
        }
        for file in proc_files::read() {
            let mode = file.mode.map(|mode| ("mode", mode));
            reading.push(file.metric, mode.as_slice(), file.value);
        }
        memory(&mut reading, &self.system);
        disks(&mut reading, &self.disks);
        networks(&mut reading, &self.networks);
        load(&mut reading);
        reading.batch
    }
}

/// One batch being filled.
struct Reading<'a> {
    batch: Batch,
    host: &'a str,
    now: Millis,
}

impl Reading<'_> {
    fn gauge(&mut self, metric: &str, value: f64) {
        self.push(metric, &[], value);
    }

    fn push(&mut self, metric: &str, labels: &[(&str, &str)], value: f64) {
        let fixed = [(METRIC_NAME, metric), ("host", self.host)];
        let labels = Labels::new(fixed.into_iter().chain(labels.iter().copied()), &LabelLimits::default());
        // A device with a name beyond the limits is left out rather than ending the reading.
        if let (Ok(labels), true) = (labels, value.is_finite()) {
            let key_idx = self.batch.add_key(Key::new(labels));
            self.batch.push(key_idx, Sample { at: self.now, value });
        }
    }
}

fn memory(reading: &mut Reading<'_>, system: &System) {
    let total = system.total_memory();
    if total > 0 {
        reading.gauge("node_memory_MemTotal_bytes", total as f64);
        reading.gauge("node_memory_MemFree_bytes", system.free_memory() as f64);
        reading.gauge("node_memory_MemAvailable_bytes", system.available_memory() as f64);
        reading.gauge("node_memory_used_bytes", total.saturating_sub(system.available_memory()) as f64);
    }
    if system.total_swap() > 0 {
        reading.gauge("node_memory_SwapTotal_bytes", system.total_swap() as f64);
        reading.gauge("node_memory_SwapFree_bytes", system.free_swap() as f64);
    }
    // Inside a container the machine's memory is not what runs out; its control group's is.
    if let Some(limits) = system.cgroup_limits()
        && limits.total_memory > 0
        && limits.total_memory < total
    {
        reading.gauge("container_spec_memory_limit_bytes", limits.total_memory as f64);
        reading.gauge("container_memory_usage_bytes", limits.total_memory.saturating_sub(limits.free_memory) as f64);
    }
}

fn disks(reading: &mut Reading<'_>, disks: &Disks) {
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    let mut found: Vec<_> = disks
        .list()
        .iter()
        .filter(|disk| disk.total_space() > 0)
        .map(|disk| (text(disk.name()), disk.mount_point().to_string_lossy().into_owned(), disk))
        .collect();
    // One mount per device: inside a container the same device shows again behind /etc/hosts and the like.
    found.sort_by(|a, b| (&a.0, a.1.len(), &a.1).cmp(&(&b.0, b.1.len(), &b.1)));
    found.dedup_by(|later, kept| later.0 == kept.0);
    for (device, mount, disk) in found.into_iter().take(MAX_DEVICES) {
        let (total, available) = (disk.total_space(), disk.available_space());
        let fstype = text(disk.file_system());
        let labels = [("device", device.as_str()), ("fstype", &fstype), ("mountpoint", &mount)];
        reading.push("node_filesystem_size_bytes", &labels, total as f64);
        reading.push("node_filesystem_avail_bytes", &labels, available as f64);
        reading.push("node_filesystem_used_bytes", &labels, total.saturating_sub(available) as f64);
        let usage = disk.usage();
        // node-exporter names the block device without its folder here.
        let labels = [("device", device.rsplit('/').next().unwrap_or(&device))];
        reading.push("node_disk_read_bytes_total", &labels, usage.total_read_bytes as f64);
        reading.push("node_disk_written_bytes_total", &labels, usage.total_written_bytes as f64);
    }
}

fn networks(reading: &mut Reading<'_>, networks: &Networks) {
    let mut found: Vec<_> = networks
        .list()
        .iter()
        .filter(|(name, _)| !VIRTUAL_INTERFACES.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    found.sort_by(|a, b| a.0.cmp(b.0));
    for (name, network) in found.into_iter().take(MAX_DEVICES) {
        let labels = [("device", name.as_str())];
        for (metric, total) in [
            ("node_network_receive_bytes_total", network.total_received()),
            ("node_network_transmit_bytes_total", network.total_transmitted()),
            ("node_network_receive_packets_total", network.total_packets_received()),
            ("node_network_transmit_packets_total", network.total_packets_transmitted()),
            ("node_network_receive_errs_total", network.total_errors_on_received()),
            ("node_network_transmit_errs_total", network.total_errors_on_transmitted()),
        ] {
            reading.push(metric, &labels, total as f64);
        }
    }
}

fn load(reading: &mut Reading<'_>) {
    let load = System::load_average();
    reading.gauge("node_load1", load.one);
    reading.gauge("node_load5", load.five);
    reading.gauge("node_load15", load.fifteen);
    let boot = System::boot_time();
    if boot > 0 {
        reading.gauge("node_boot_time_seconds", boot as f64);
    }
    reading.gauge("node_uptime_seconds", System::uptime() as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(batch: &Batch, metric: &str) -> Option<f64> {
        batch.iter().find(|(key, _)| key.metric() == metric).map(|(_, sample)| sample.value)
    }

    #[test]
    fn a_reading_describes_this_machine() {
        let mut collector = HostCollector::new();
        let batch = collector.collect(1_700_000_000_000);
        assert!((10..200).contains(&batch.len()), "{} series", batch.len());
        let total = value(&batch, "node_memory_MemTotal_bytes").unwrap();
        let available = value(&batch, "node_memory_MemAvailable_bytes").unwrap();
        assert!(total > 64e6 && available > 0.0 && available <= total, "{available} of {total}");
        assert!(batch.iter().all(|(key, sample)| {
            key.labels().get("host").is_some() && sample.at == 1_700_000_000_000 && sample.value.is_finite()
        }));
        let mut keys: Vec<String> = batch.keys().iter().map(Key::to_string).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), batch.len(), "each series once");
    }

    #[test]
    fn usage_comes_with_the_second_reading_and_counters_grow() {
        let mut collector = HostCollector::new();
        let first = collector.collect(1_700_000_000_000);
        assert_eq!(value(&first, "node_cpu_usage_ratio"), None);
        std::thread::sleep(sysinfo::MINIMUM_CPU_UPDATE_INTERVAL);
        let second = collector.collect(1_700_000_001_000);
        let usage = value(&second, "node_cpu_usage_ratio").unwrap();
        assert!((0.0..=1.0).contains(&usage), "{usage}");
        for (key, sample) in first.iter().filter(|(key, _)| key.labels().get("mode") == Some("user")) {
            let later = second.iter().find(|(other, _)| *other == key).map(|(_, sample)| sample.value);
            assert!(later.is_some_and(|later| later >= sample.value), "{key}");
        }
    }
}
