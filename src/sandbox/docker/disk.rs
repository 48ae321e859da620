//! How full the engine's disk is, and how much of it is to stay free.
//!
//! Guarantees that a disk which cannot be seen from here is not guessed at.

use std::path::Path;

use bollard::models::SystemInfo;

/// The variable that says how much of the engine's disk stays free.
pub const VARIABLE: &str = "APPRENTICE_KEEP_FREE";
/// Without that variable: this part of the disk, and no more than that.
const DEFAULT: (u64, u64) = (10, 20 << 30);
const UNITS: [(&str, u64); 3] = [("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// How much of the engine's disk is to stay free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepFree {
    /// A tenth, at most 20 GiB.
    Default,
    /// So many hundredths.
    Percent(u64),
    /// So many bytes.
    Bytes(u64),
    /// Nothing: images are never removed for room.
    Off,
}

impl KeepFree {
    /// What [`VARIABLE`] says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn of_environment() -> Result<Self, String> {
        match std::env::var(VARIABLE) {
            Ok(text) => text.parse().map_err(|reason| format!("{VARIABLE} is `{text}`: {reason}")),
            Err(_) => Ok(Self::Default),
        }
    }

    /// The bytes that are to stay free of a disk of `total`.
    pub(super) fn wanted(self, total: u64) -> u64 {
        match self {
            Self::Default => (total / 100 * DEFAULT.0).min(DEFAULT.1),
            Self::Percent(percent) => total / 100 * percent,
            Self::Bytes(bytes) => bytes,
            Self::Off => 0,
        }
    }
}

impl std::str::FromStr for KeepFree {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| digits.trim().parse::<u64>().ok();
        let percent = text.strip_suffix('%').and_then(number).filter(|percent| *percent <= 100);
        let bytes =
            UNITS.iter().find_map(|(unit, size)| number(text.strip_suffix(unit)?)?.checked_mul(*size));
        match (text, percent, bytes) {
            ("off", _, _) => Ok(Self::Off),
            (_, Some(percent), _) => Ok(Self::Percent(percent)),
            (_, _, Some(bytes)) => Ok(Self::Bytes(bytes)),
            _ => Err("write a size such as `20GiB`, a part such as `10%`, or `off`".to_owned()),
        }
    }
}

/// A disk with its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that unprivileged programs may still write.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

/// The disk of the engine that describes itself as `info`.
///
/// # Errors
/// Why it cannot be seen from here.
pub(super) fn of_engine(info: &SystemInfo) -> Result<Disk, String> {
    if let Ok(host) = std::env::var("DOCKER_HOST")
        && !host.starts_with("unix://")
    {
        return Err(format!("the engine at {host} is remote"));
    }
    let root = info.docker_root_dir.as_deref().unwrap_or_default();
    if !Path::new(root).is_dir() {
        return Err(format!("the engine's directory `{root}` is not on this machine"));
    }
    let status =
        rustix::fs::statvfs(root).map_err(|error| format!("`{root}` cannot be looked at: {error}"))?;
    Ok(Disk { free: status.f_bavail * status.f_frsize, total: status.f_blocks * status.f_frsize })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_a_size_a_part_or_off() {
        let wanted = |text: &str| text.parse::<KeepFree>().map(|keep| keep.wanted(1000 << 30));
        assert_eq!(wanted("5GiB"), Ok(5 << 30));
        assert_eq!(wanted("512 MiB"), Ok(512 << 20));
        assert_eq!(wanted("50%"), Ok((1000 << 30) / 100 * 50));
        assert_eq!(wanted("off"), Ok(0));
        for text in ["", "5", "5GB", "101%", "-1GiB", "99999999999TiB"] {
            assert!(wanted(text).is_err(), "{text}");
        }
        assert_eq!(KeepFree::Default.wanted(100 << 30), (100_u64 << 30) / 100 * 10);
        assert_eq!(KeepFree::Default.wanted(1000 << 30), 20 << 30);
    }

    #[test]
    fn a_disk_of_another_machine_is_not_guessed_at() {
        let info =
            |root: &str| SystemInfo { docker_root_dir: Some(root.to_owned()), ..SystemInfo::default() };
        assert!(of_engine(&info("/")).is_ok_and(|disk| disk.free <= disk.total && 0 < disk.total));
        assert!(of_engine(&info("/no/such/directory")).unwrap_err().contains("not on this machine"));
    }
}
