//! Blocks of six hours: when they end.

use serde::{Deserialize, Serialize};

use super::MILLIS_OF_HOUR;

/// Hours that are rolled up together.
pub(crate) const HOURS_OF_BLOCK: i64 = 6;

/// The blocks of a time zone: one ends with its midnight, and the others six hours from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Blocks {
    /// With the remainder of which hours they end, hours being counted by their ends from 1970 on.
    hour: i64,
}

impl Blocks {
    /// By the hours that the zone is ahead of UTC.
    pub(crate) fn of_zone(ahead: i64) -> Self {
        Self { hour: (-ahead).rem_euclid(HOURS_OF_BLOCK) }
    }

    /// The last hour of the block that an hour is in.
    pub(crate) fn last_hour(self, hour: i64) -> i64 {
        (hour - self.hour + HOURS_OF_BLOCK - 1).div_euclid(HOURS_OF_BLOCK) * HOURS_OF_BLOCK + self.hour
    }

    /// Whether a block ends at a time in milliseconds.
    pub(crate) fn has_border(self, time: i64) -> bool {
        (time - self.hour * MILLIS_OF_HOUR) % (HOURS_OF_BLOCK * MILLIS_OF_HOUR) == 0
    }

    /// A condition that a bucket is one of these.
    pub(crate) fn sql(self) -> String {
        format!("toUnixTimestamp(bucket) % {} = {}", HOURS_OF_BLOCK * 3600, self.hour * 3600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_with_midnight_of_its_zone() {
        let utc = Blocks::default();
        assert_eq!([0, 1, 6, 7, 12, 13].map(|hour| utc.last_hour(hour)), [0, 6, 6, 12, 12, 18]);
        assert_eq!(Blocks::of_zone(0), utc);
        // Midnight in Tokyo is 15:00, and in New York 5:00 of the next day.
        for (ahead, midnight) in [(9, 15), (8, 16), (-5, 29), (14, 10), (-12, 36)] {
            let blocks = Blocks::of_zone(ahead);
            assert_eq!([midnight - 5, midnight].map(|hour| blocks.last_hour(hour)), [midnight; 2], "{ahead}");
            assert!(
                blocks.has_border(midnight * MILLIS_OF_HOUR) && !blocks.has_border((midnight - 1) * MILLIS_OF_HOUR)
            );
        }
    }
}
