//! Processor time and load of the whole machine, as the kernel counts them.

use anyhow::{Context, Result};

/// `/proc/stat` counts in these on every Linux of the last decades (`getconf CLK_TCK`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds that all processors together were busy since the machine started.
///
/// Engines, shims and sandboxes all count, whoever started them; so does everything else that runs, so
/// this is only good on a calm machine.
pub(crate) fn busy_seconds() -> Result<f64> {
    let text = fs_err::read_to_string("/proc/stat")?;
    let first = text.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<f64> = first.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq …
    let busy = [0, 1, 2, 5, 6].map(|idx| ticks.get(idx).copied().unwrap_or_default());
    Ok(busy.iter().sum::<f64>() / TICKS_PER_SECOND)
}

/// The load averages of 1, 5 and 15 minutes.
pub(crate) fn load() -> Result<String> {
    let text = fs_err::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}
