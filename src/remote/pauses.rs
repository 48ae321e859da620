//! How long to wait before a call is made again.

use std::time::{Duration, SystemTime};

use crate::seed;

/// The first pause; each is twice the one before it.
const FIRST: Duration = Duration::from_millis(500);
/// The longest pause, whatever a server asks for.
const LONGEST: Duration = Duration::from_secs(60);

/// The pause before try `number`, from 1: between half of it and all, by the seed, so that those who failed together do not come
/// back together.
pub(super) fn pause(number: usize, seed: u64) -> Duration {
    let whole = FIRST.saturating_mul(1 << number.saturating_sub(1).min(16)).min(LONGEST);
    let part = seed::derive(seed, "pause", &[number as u64]) as f64 / u64::MAX as f64;
    whole.mul_f64(0.5 + part / 2.0)
}

/// What `Retry-After` asks for: seconds, or a date.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let seconds = value.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    let wait = match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST),
        None => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or(Duration::ZERO),
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_differ_by_seed() {
        for seed in 0..20 {
            for (number, whole) in [(1, 0.5), (2, 1.0), (3, 2.0), (8, 60.0), (60, 60.0)] {
                let pause = pause(number, seed).as_secs_f64();
                assert!((whole / 2.0..=whole).contains(&pause), "{number}: {pause}");
            }
        }
        assert_ne!(pause(3, 1), pause(3, 2));
    }

    #[test]
    fn a_server_may_ask_for_seconds_or_name_a_date() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        let wait = |value: &str| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:09 GMT"), Some(9));
        assert_eq!(wait("Wed, 21 Oct 2015 07:00:00 GMT"), Some(0));
        assert_eq!(wait("99999"), Some(60));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
        assert_eq!(wait("inf"), None);
    }
}
