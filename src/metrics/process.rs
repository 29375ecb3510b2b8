//! What this process uses, under the names that every Prometheus client has for it; read from `/proc` at each scrape.

use std::{
    fmt, fs,
    time::{Duration, SystemTime},
};

use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage},
    time::TimeVal,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{TypedMetric, counter::ConstCounter, gauge::ConstGauge},
};

/// Reads what the process uses.
#[derive(Debug)]
pub(super) struct Process {
    began: SystemTime,
}

impl Process {
    /// Of a process that begins now.
    pub(super) fn begins() -> Self {
        Self { began: SystemTime::now() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let began = self.began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut gauge = |name: &str, help: &str, value: f64| one(&mut encoder, name, help, &ConstGauge::new(value));
        gauge("process_start_time_seconds", "When the process began, seconds since 1970", began.as_secs_f64())?;
        if let Some(bytes) = resident_bytes() {
            gauge("process_resident_memory_bytes", "Memory in use", bytes)?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // Not the one that is read with.
            gauge("process_open_fds", "Open file descriptors", as_float(open.count().saturating_sub(1) as u64))?;
        }
        if let Ok((most, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
            gauge("process_max_fds", "File descriptors that it may have open", as_float(most))?;
        }
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            let spent = duration(usage.user_time()) + duration(usage.system_time());
            let counter = ConstCounter::new(spent.as_secs_f64());
            one(&mut encoder, "process_cpu_seconds", "Processor time spent", &counter)?;
        }
        Ok(())
    }
}

fn one<M: EncodeMetric + TypedMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &M,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, M::TYPE)?)
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(as_float(kilobytes * 1024))
}

fn duration(time: TimeVal) -> Duration {
    let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, far beyond what a process has")]
fn as_float(number: u64) -> f64 {
    number as f64
}
