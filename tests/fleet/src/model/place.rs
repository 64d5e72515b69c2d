//! Where a VM runs at a moment.
//!
//! A VM prefers a host: its home, now and then another (DRS), in a storm one after another. When the preferred host
//! fails, HA restarts the VM elsewhere, and it comes back some minutes after the host. Choices look only at what was
//! known when they were made, so a later event never changes an earlier one.

use super::World;
use super::effect::{Effects, Failure};
use super::life::Occupant;
use super::noise::What;
use super::time::{HOUR, MINUTE, SECOND, Time};

/// DRS looks at a VM twice a day, and moves few.
const DRS_SLOT: i64 = 12 * HOUR;
const DRS_PART: f64 = 0.03;

/// A VM's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: usize,
    /// Whether the host responds.
    pub(crate) connected: bool,
}

impl World {
    /// When HA restarts a VM of a failed host: it waits for the host, then takes one after another.
    fn restart(&self, seat: usize, failure: &Failure) -> Time {
        let delay = self.noise.below(What::Failover, seat as u64, failure.span.from.0, 105 * SECOND as u64) as i64;
        Time(failure.span.from.0 + 45 * SECOND + delay)
    }

    /// When DRS has brought a VM back to a host that failed.
    fn comeback(&self, seat: usize, failure: &Failure) -> Time {
        let delay = self.noise.below(What::Return, seat as u64, failure.span.from.0, 8 * MINUTE as u64) as i64;
        Time(failure.span.until.0.saturating_add(2 * MINUTE + delay))
    }

    fn drs_offset(&self, seat: usize) -> i64 {
        self.noise.below(What::Migration, seat as u64, i64::MIN, DRS_SLOT as u64) as i64
    }

    /// The preferred host, and since when at the latest, as one slot sees it.
    fn preference(&self, effects: &Effects, seat: usize, at: Time) -> (usize, Time) {
        let mine = &self.built.seats[seat];
        let hosts = &self.built.hosts_of[mine.cluster];
        for (place, storm) in effects.storms.iter().enumerate().rev() {
            if !storm.clusters[mine.cluster] {
                continue;
            }
            let who = seat as u64;
            let phase = self.noise.below(What::Storm, who, -1 - place as i64, storm.every as u64) as i64;
            let calm = self.noise.below(What::Return, who, -1 - place as i64, 10 * MINUTE as u64) as i64;
            let first = storm.span.from.0 + phase;
            if at.0 < first || first >= storm.span.until.0 || at.0 >= storm.span.until.0.saturating_add(calm) {
                continue;
            }
            let slot = (at.0.min(storm.span.until.0 - 1) - first) / storm.every;
            let nth = self.noise.below(What::Storm, who, (place as i64) << 40 | slot, hosts.len() as u64);
            return (hosts[nth as usize], Time(first + slot * storm.every));
        }
        let offset = self.drs_offset(seat);
        let slot = (at.0 - offset).div_euclid(DRS_SLOT);
        let since = Time(slot * DRS_SLOT + offset);
        let moved = self.built.seats[seat].power == super::Power::On
            && self.noise.unit(What::Migration, seat as u64, 2 * slot) < DRS_PART;
        let away = self.noise.below(What::Migration, seat as u64, 2 * slot + 1, hosts.len() as u64);
        let host = if moved { hosts[away as usize] } else { mine.home };
        // A storm that has calmed down since is when it really came.
        let calm = effects.storms.iter().enumerate().filter(|(_, storm)| storm.clusters[mine.cluster]).map(
            |(place, storm)| {
                let calm = self.noise.below(What::Return, seat as u64, -1 - place as i64, 10 * MINUTE as u64) as i64;
                Time(storm.span.until.0.saturating_add(calm))
            },
        );
        (host, calm.filter(|calm| *calm <= at).fold(since, Time::max))
    }

    /// Whether a VM came to its preferred host before a moment.
    fn came_before(&self, effects: &Effects, seat: usize, host: usize, mut since: Time, moment: Time) -> bool {
        while since >= moment {
            let (before, start) = self.preference(effects, seat, Time(since.0 - 1));
            if before != host {
                return false;
            }
            since = start;
        }
        true
    }

    /// A host of the cluster that did not fail at a moment; the same for the same VM as long as the choice is the same.
    fn alternate(&self, effects: &Effects, seat: usize, at: Time) -> Option<usize> {
        let cluster = self.built.seats[seat].cluster;
        let fine =
            |host: &usize| !effects.failures.iter().any(|failure| failure.host == *host && failure.span.holds(at));
        let weight = |host: &usize| self.noise.bits(What::Failover, seat as u64, -1 - *host as i64);
        self.built.hosts_of[cluster].iter().copied().filter(fine).max_by_key(weight)
    }

    /// Where a VM is, and when HA has restarted it.
    pub(crate) fn place(&self, effects: &Effects, seat: usize, who: &Occupant, at: Time) -> (Place, Vec<Time>) {
        let (mut host, mut since) = self.preference(effects, seat, at);
        let mut restarts = Vec::new();
        if effects.failures.is_empty() {
            return (Place { host, connected: true }, restarts);
        }
        for failure in
            effects.failures.iter().filter(|failure| failure.span.from <= at && failure.vms.contains(&who.id))
        {
            let restart = self.restart(seat, failure);
            if restart < failure.span.until && self.alternate(effects, seat, restart).is_some() {
                restarts.push(restart);
            } else {
                restarts.push(failure.span.until);
            }
        }
        let mut preferred = true;
        // Each turn goes to a host that was fine at a later failure than the one before, so this ends.
        for _ in 0..=effects.failures.len() {
            let failed = |failure: &&Failure| {
                failure.host == host && failure.span.from <= at && at < self.comeback(seat, failure)
            };
            let Some(failure) = effects.failures.iter().rev().find(failed) else { break };
            let responds = at >= failure.span.until;
            let created_before = who.created.is_none_or(|created| created < failure.span.from);
            let was_there = created_before
                && if preferred {
                    self.came_before(effects, seat, host, since, failure.span.from)
                } else {
                    since < failure.span.from
                };
            let leaves = if was_there { self.restart(seat, failure) } else { since.max(who.created.unwrap_or(since)) };
            if leaves >= failure.span.until || at < leaves {
                return (Place { host, connected: responds || !self.down(effects, host, at) }, restarts);
            }
            match self.alternate(effects, seat, leaves) {
                Some(other) => (host, since, preferred) = (other, leaves, false),
                None => return (Place { host, connected: responds }, restarts),
            }
        }
        (Place { host, connected: !self.down(effects, host, at) }, restarts)
    }

    /// Whether a host has failed.
    pub(crate) fn down(&self, effects: &Effects, host: usize, at: Time) -> bool {
        effects.failures.iter().any(|failure| failure.host == host && failure.span.holds(at))
    }

    /// Moments after one and until another at which the place may change.
    pub(crate) fn place_moments(&self, effects: &Effects, seat: usize, after: Time, until: Time, into: &mut Vec<Time>) {
        let cluster = self.built.seats[seat].cluster;
        let mut add = |moment: i64| {
            if after.0 < moment && moment <= until.0 {
                into.push(Time(moment));
            }
        };
        let offset = self.drs_offset(seat);
        for slot in (after.0 - offset).div_euclid(DRS_SLOT)..=(until.0 - offset).div_euclid(DRS_SLOT) {
            add(slot * DRS_SLOT + offset);
        }
        for (place, storm) in effects.storms.iter().enumerate().filter(|(_, storm)| storm.clusters[cluster]) {
            let who = seat as u64;
            let phase = self.noise.below(What::Storm, who, -1 - place as i64, storm.every as u64) as i64;
            let calm = self.noise.below(What::Return, who, -1 - place as i64, 10 * MINUTE as u64) as i64;
            let first = storm.span.from.0 + phase;
            let mut slot = (after.0 - first).div_euclid(storm.every).max(0);
            while first + slot * storm.every <= until.0.min(storm.span.until.0 - 1) {
                add(first + slot * storm.every);
                slot += 1;
            }
            add(storm.span.until.0.saturating_add(calm));
        }
        for failure in effects.failures.iter().filter(|failure| failure.cluster == cluster) {
            add(failure.span.from.0);
            add(failure.span.until.0);
            add(self.restart(seat, failure).0);
            add(self.comeback(seat, failure).0);
        }
    }
}
