//! Where a VM runs at a moment.
//!
//! A VM prefers a host: its home, now and then another (DRS), in a storm one after another. When the preferred host
//! fails, HA restarts the VM elsewhere; before it enters maintenance mode, the VM moves elsewhere. It comes back some
//! minutes after the host. Choices look only at what was known when they were made, so a later event never changes an
//! earlier one.

use super::World;
use super::effect::{Effects, Outage};
use super::life::Occupant;
use super::noise::What;
use super::time::{HOUR, MINUTE, SECOND, Time};

/// DRS looks at a VM twice a day, and moves few.
const DRS_SLOT: i64 = 12 * HOUR;
const DRS_PART: f64 = 0.03;
/// A host that is to enter maintenance mode does so when its VMs are gone: they move within so much time, at once or
/// one after another, and it takes some seconds more.
const FIRST_MOVE: i64 = 5 * SECOND;
const MOVES: i64 = 85 * SECOND;
const ENTERED: i64 = 100 * SECOND;

impl Outage {
    /// When the host is in maintenance mode.
    pub(crate) fn entered(&self) -> Time {
        Time(self.span.from.0 + ENTERED)
    }
}

/// A VM's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: usize,
    /// Whether the host responds.
    pub(crate) connected: bool,
}

impl World {
    /// When a VM leaves: HA waits for a host that failed, then restarts one VM after another.
    fn departure(&self, seat: usize, outage: &Outage) -> Time {
        let (first, within) = if outage.planned { (FIRST_MOVE, MOVES) } else { (45 * SECOND, 105 * SECOND) };
        let delay = self.noise.below(What::Failover, seat as u64, outage.span.from.0, within as u64) as i64;
        Time(outage.span.from.0 + first + delay)
    }

    /// When DRS has brought a VM back to a host.
    fn comeback(&self, seat: usize, outage: &Outage) -> Time {
        let delay = self.noise.below(What::Return, seat as u64, outage.span.from.0, 8 * MINUTE as u64) as i64;
        Time(outage.span.until.0.saturating_add(2 * MINUTE + delay))
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

    /// Whether VMs may go to a host at a moment.
    pub(crate) fn takes_vms(&self, effects: &Effects, host: usize, at: Time) -> bool {
        !effects.outages.iter().any(|outage| outage.host == host && outage.span.holds(at))
    }

    /// A host of the cluster that takes VMs at a moment; the same for the same VM as long as the choice is the same.
    fn alternate(&self, effects: &Effects, seat: usize, at: Time) -> Option<usize> {
        let cluster = self.built.seats[seat].cluster;
        let fine = |host: &usize| self.takes_vms(effects, *host, at);
        let weight = |host: &usize| self.noise.bits(What::Failover, seat as u64, -1 - *host as i64);
        self.built.hosts_of[cluster].iter().copied().filter(fine).max_by_key(weight)
    }

    /// Where a VM is, and when HA has restarted it.
    pub(crate) fn place(&self, effects: &Effects, seat: usize, who: &Occupant, at: Time) -> (Place, Vec<Time>) {
        let (mut host, mut since) = self.preference(effects, seat, at);
        let mut restarts = Vec::new();
        if effects.outages.is_empty() {
            return (Place { host, connected: true }, restarts);
        }
        for failure in effects.failures().filter(|failure| failure.span.from <= at && failure.vms.contains(&who.id)) {
            let restart = self.departure(seat, failure);
            if restart < failure.span.until && self.alternate(effects, seat, restart).is_some() {
                restarts.push(restart);
            } else {
                restarts.push(failure.span.until);
            }
        }
        let mut preferred = true;
        // Each turn goes to a host that was fine at a later outage than the one before, so this ends.
        for _ in 0..=effects.outages.len() {
            let away =
                |outage: &&Outage| outage.host == host && outage.span.from <= at && at < self.comeback(seat, outage);
            let Some(outage) = effects.outages.iter().rev().find(away) else { break };
            let responds = at >= outage.span.until;
            let left = |outage: &Outage| {
                let created_before = who.created.is_none_or(|created| created < outage.span.from);
                let was_there = created_before
                    && if preferred {
                        self.came_before(effects, seat, host, since, outage.span.from)
                    } else {
                        since < outage.span.from
                    };
                if was_there { self.departure(seat, outage) } else { since.max(who.created.unwrap_or(since)) }
            };
            // A host may fail while it is in maintenance: who had left it then, and was not home yet, stays away.
            let before = effects.outages.iter().filter(|before| {
                let meets = before.span.from < outage.span.from && outage.span.from < self.comeback(seat, before);
                before.host == host && meets
            });
            let gone = before.filter(|before| left(before) < before.span.until).map(left);
            let gone = gone.filter(|left| *left <= outage.span.from);
            let leaves = gone.fold(left(outage), Time::min);
            if leaves >= outage.span.until || at < leaves {
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
        effects.failures().any(|failure| failure.host == host && failure.span.holds(at))
    }

    /// Whether a host is in maintenance mode.
    pub(crate) fn in_maintenance(&self, effects: &Effects, host: usize, at: Time) -> bool {
        let mut planned = effects.outages.iter().filter(|outage| outage.planned && outage.host == host);
        planned.any(|outage| outage.entered() <= at && at < outage.span.until)
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
        for outage in effects.outages.iter().filter(|outage| outage.cluster == cluster) {
            add(outage.span.from.0);
            add(outage.span.until.0);
            add(self.departure(seat, outage).0);
            add(self.comeback(seat, outage).0);
        }
    }
}
