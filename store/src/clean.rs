//! When commit-log files are deleted, and which: the rules of Java's `CleanCommitLogService`, without the deleting.
//!
//! Files go when the hour has come, the disk is too full or an administrator asked. Normally a file must also be old
//! enough; on a nearly full disk its age does not matter. Above the warning level the store refuses messages until usage
//! is below the (lower) level of forced cleaning again.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use time::{OffsetDateTime, UtcOffset};

use crate::config::StoreConfig;
use crate::error::StoreError;

/// Rounds an administrator's request lasts, one for each `cleanResourceInterval`.
const MANUAL_ROUNDS: u32 = 20;

/// Hours of the day at which expired files go (`deleteWhen`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours(u32);

impl Hours {
    /// Reads hours 0 to 23 joined by `;`, as in `04` or `02;14`. An empty text means never.
    ///
    /// # Errors
    /// [`StoreError::Config`] naming the part that is no hour.
    pub fn parse(text: &str) -> Result<Hours, StoreError> {
        let mut mask = 0;
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            match part.parse::<u32>() {
                Ok(hour @ 0..24) => mask |= 1 << hour,
                _ => {
                    return Err(StoreError::Config {
                        key: "deleteWhen",
                        reason: format!("{part:?} is not an hour of the day (00 to 23)"),
                    });
                }
            }
        }
        Ok(Hours(mask))
    }

    /// Whether `hour` (0 to 23) is one of the hours.
    pub fn contains(self, hour: u8) -> bool {
        hour < 24 && self.0 & (1 << hour) != 0
    }
}

/// Hour of the day in local time.
pub fn local_hour(now: SystemTime) -> u8 {
    let utc = OffsetDateTime::from(now);
    utc.to_offset(UtcOffset::local_offset_at(utc).unwrap_or(UtcOffset::UTC)).hour()
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Used share as Java counts it, 0.0 to 1.0: of what is used and what this process may still use, rounded up to a
    /// whole percent.
    pub ratio: f64,
    /// Bytes of the file system.
    pub total_bytes: u64,
    /// Bytes not used, root's reserve among them. Java: `File.getFreeSpace`.
    pub free_bytes: u64,
}

impl Usage {
    /// Asks the operating system about the file system a path is on.
    ///
    /// # Errors
    /// Those of `statvfs`.
    pub fn of(path: &Path) -> io::Result<Usage> {
        let facts = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(facts.f_frsize);
        Ok(Usage::new(bytes(facts.f_blocks), bytes(facts.f_bfree), bytes(facts.f_bavail)))
    }

    /// From the bytes of the file system, those not used, and those this process may still use (root's reserve is not
    /// among them).
    pub fn new(total: u64, not_used: u64, available: u64) -> Usage {
        let used = u128::from(total.saturating_sub(not_used));
        let entire = used + u128::from(available);
        let percent = if entire == 0 { 100 } else { (used * 100).div_ceil(entire) };
        Usage { ratio: percent as f64 / 100.0, total_bytes: total, free_bytes: not_used }
    }
}

/// The settings that decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanConfig {
    /// `deleteWhen`.
    pub delete_when: Hours,
    /// `fileReservedTime`: age from which a file may go.
    pub file_reserved_time: Duration,
    /// `diskMaxUsedSpaceRatio` as a share: above it old files go at any hour.
    pub max_used: f64,
    /// `diskSpaceCleanForciblyRatio` as a share, within 0.30..=0.85: above it age does not matter.
    pub clean_forcibly: f64,
    /// `diskSpaceWarningLevelRatio` as a share, within 0.35..=0.90: above it the store refuses messages.
    pub warning: f64,
    /// `cleanFileForciblyEnable`: whether age may be ignored at all.
    pub forcibly_enabled: bool,
    /// `deleteFileBatchMax`: files deleted in one round at most.
    pub batch_max: usize,
}

impl CleanConfig {
    /// Takes the settings out of the store's, forcing the ratios into their ranges.
    ///
    /// # Errors
    /// [`StoreError::Config`] for a `deleteWhen` that names no hours.
    pub fn new(config: &StoreConfig) -> Result<CleanConfig, StoreError> {
        let share = |percent: u32| f64::from(percent) / 100.0;
        Ok(CleanConfig {
            delete_when: Hours::parse(&config.delete_when)?,
            file_reserved_time: config.file_reserved_time,
            max_used: share(config.disk_max_used_space_ratio),
            clean_forcibly: share(config.disk_space_clean_forcibly_ratio).clamp(0.30, 0.85),
            warning: share(config.disk_space_warning_level_ratio).clamp(0.35, 0.90),
            forcibly_enabled: config.clean_file_forcibly_enable,
            batch_max: config.delete_file_batch_max,
        })
    }
}

/// What becomes of the mark that makes the store refuse messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFull {
    /// Set it.
    Set,
    /// Remove it.
    Clear,
    /// Leave it as it is: usage is between the two levels.
    Keep,
}

/// What the disks' usage calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceVerdict {
    /// Files should go at any hour.
    pub too_full: bool,
    /// Even young ones.
    pub forcibly: bool,
    /// Whether messages are refused.
    pub disk_full: DiskFull,
}

/// Judges used shares: the commit log's (of the least used disk, when there are several) and the consume queues'. `None`
/// is a share that could not be measured, which counts as too full but not as full.
pub fn judge_space(config: &CleanConfig, commit_log: Option<f64>, queues: Option<f64>) -> SpaceVerdict {
    for share in [commit_log, queues].into_iter().flatten() {
        if share > config.warning {
            return SpaceVerdict { too_full: true, forcibly: true, disk_full: DiskFull::Set };
        }
        if share > config.clean_forcibly {
            return SpaceVerdict { too_full: true, forcibly: true, disk_full: DiskFull::Keep };
        }
    }
    let too_full = [commit_log, queues].iter().any(|share| share.is_none_or(|share| share > config.max_used));
    SpaceVerdict { too_full, forcibly: false, disk_full: DiskFull::Clear }
}

/// What a round does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// It is one of the hours.
    pub time_is_up: bool,
    /// The disk is too full.
    pub too_full: bool,
    /// An administrator asked.
    pub manual: bool,
    /// Age does not matter.
    pub ignore_age: bool,
    /// Whether messages are refused.
    pub disk_full: DiskFull,
}

impl Round {
    /// Whether any file may be deleted.
    pub fn deletes(&self) -> bool {
        self.time_is_up || self.too_full || self.manual
    }
}

/// What one round after the other must remember.
#[derive(Debug, Default)]
pub struct CleanPolicy {
    manual_rounds: u32,
}

impl CleanPolicy {
    /// An administrator asks for cleaning: the next 20 rounds delete expired files at any hour.
    pub fn request(&mut self) {
        self.manual_rounds = MANUAL_ROUNDS;
    }

    /// Decides on a round. `hour` is that of the day in local time.
    pub fn round(&mut self, config: &CleanConfig, hour: u8, space: SpaceVerdict) -> Round {
        let manual = self.manual_rounds > 0;
        self.manual_rounds = self.manual_rounds.saturating_sub(1);
        Round {
            time_is_up: config.delete_when.contains(hour),
            too_full: space.too_full,
            manual,
            ignore_age: space.forcibly && config.forcibly_enabled,
            disk_full: space.disk_full,
        }
    }
}

/// How many files to delete, from the oldest on. `modified` are their times of last modification, oldest file first, the
/// last file included, which always stays. Stops at the first file that is too young, so that no hole comes about.
pub fn expired(config: &CleanConfig, ignore_age: bool, modified: &[SystemTime], now: SystemTime) -> usize {
    let candidates = &modified[..modified.len().saturating_sub(1)];
    let old = |modified: &SystemTime| {
        // A time in the future (a clock set back) is young.
        now.duration_since(*modified).is_ok_and(|age| age >= config.file_reserved_time)
    };
    candidates.iter().take(config.batch_max).take_while(|modified| ignore_age || old(modified)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> CleanConfig {
        CleanConfig::new(&StoreConfig::at("/nowhere")).unwrap()
    }

    #[test]
    fn hours() {
        let hours = Hours::parse("04;4; 23").unwrap();
        assert_eq!((0..=30).filter(|&hour| hours.contains(hour)).collect::<Vec<_>>(), [4, 23]);
        assert!((0..24).all(|hour| !Hours::parse("").unwrap().contains(hour)));
        for bad in ["24", "-1", "4,5", "x"] {
            assert!(matches!(Hours::parse(bad), Err(StoreError::Config { key: "deleteWhen", .. })), "{bad}");
        }
        assert!(local_hour(SystemTime::now()) < 24);
    }

    #[test]
    fn usage_is_rounded_up_and_leaves_the_reserve_out() {
        assert_eq!(Usage::new(1000, 500, 400).ratio, 0.56);
        assert_eq!(Usage::new(1000, 1000, 900).ratio, 0.0);
        assert_eq!(Usage::new(1000, 100, 0).ratio, 1.0);
        assert_eq!(Usage::new(0, 0, 0).ratio, 1.0);
        let here = Usage::of(Path::new(".")).unwrap();
        assert!(here.ratio > 0.0 && here.ratio <= 1.0 && here.total_bytes > here.free_bytes);
        assert!(Usage::of(Path::new("/does/not/exist")).is_err());
    }

    #[test]
    fn ratios_are_kept_in_their_ranges() {
        let extreme = |forcibly, warning| {
            let store = StoreConfig {
                disk_space_clean_forcibly_ratio: forcibly,
                disk_space_warning_level_ratio: warning,
                ..StoreConfig::at("/nowhere")
            };
            let config = CleanConfig::new(&store).unwrap();
            (config.clean_forcibly, config.warning)
        };
        assert_eq!(extreme(1, 1), (0.30, 0.35));
        assert_eq!(extreme(100, 100), (0.85, 0.90));
        assert_eq!(extreme(50, 60), (0.50, 0.60));
    }

    #[test]
    fn space_is_judged_by_the_fuller_disk() {
        let judge = |log, queues| {
            let verdict = judge_space(&config(), log, queues);
            (verdict.too_full, verdict.forcibly, verdict.disk_full)
        };
        assert_eq!(judge(Some(0.75), Some(0.75)), (false, false, DiskFull::Clear));
        assert_eq!(judge(Some(0.76), Some(0.1)), (true, false, DiskFull::Clear));
        assert_eq!(judge(Some(0.1), Some(0.76)), (true, false, DiskFull::Clear));
        assert_eq!(judge(Some(0.86), Some(0.1)), (true, true, DiskFull::Keep));
        assert_eq!(judge(Some(0.90), Some(0.1)), (true, true, DiskFull::Keep));
        assert_eq!(judge(Some(0.91), Some(0.1)), (true, true, DiskFull::Set));
        assert_eq!(judge(Some(0.1), Some(0.91)), (true, true, DiskFull::Set));
        assert_eq!(judge(None, Some(0.1)), (true, false, DiskFull::Clear));
    }

    #[test]
    fn a_request_lasts_twenty_rounds() {
        let space = judge_space(&config(), Some(0.1), Some(0.1));
        let mut policy = CleanPolicy::default();
        assert!(!policy.round(&config(), 3, space).deletes());
        assert!(policy.round(&config(), 4, space).time_is_up);
        policy.request();
        let rounds = (0..30).filter(|_| policy.round(&config(), 3, space).manual).count();
        assert_eq!(rounds, 20);
    }

    #[test]
    fn age_is_ignored_only_when_that_is_allowed() {
        let space = judge_space(&config(), Some(0.95), Some(0.1));
        let round = CleanPolicy::default().round(&config(), 3, space);
        assert!(round.deletes() && round.ignore_age && round.disk_full == DiskFull::Set);
        let careful = CleanConfig { forcibly_enabled: false, ..config() };
        let round = CleanPolicy::default().round(&careful, 3, space);
        assert!(round.deletes() && !round.ignore_age);
    }

    #[test]
    fn files_go_oldest_first_and_the_last_one_stays() {
        let now = SystemTime::now();
        let hours = |ages: &[u64]| -> Vec<_> { ages.iter().map(|h| now - Duration::from_secs(h * 3600)).collect() };
        assert_eq!(expired(&config(), false, &hours(&[100, 72, 71, 90, 0]), now), 2);
        assert_eq!(expired(&config(), false, &hours(&[100]), now), 0);
        assert_eq!(expired(&config(), true, &hours(&[1, 1, 1]), now), 2);
        assert_eq!(expired(&config(), true, &hours(&[1; 30]), now), 10);
        assert_eq!(expired(&config(), true, &[], now), 0);
        assert_eq!(expired(&config(), false, &[now + Duration::from_secs(9), now], now), 0);
    }
}
