//! Who sits in a seat at a moment, in which power state, and with which snapshots.

use super::effect::{Churn, Effects};
use super::inventory::{Power, Snapshot};
use super::noise::What;
use super::time::{DAY, HOUR, MINUTE, SECOND, Time};
use super::{SnapshotId, VmId, World};

/// How long a seat is empty when it changes hands, and how long the new VM is off at first.
const VACANT: i64 = 20 * SECOND;
const DEPLOY: i64 = 10 * SECOND;

/// The occupant of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Occupant {
    pub(crate) id: VmId,
    pub(crate) generation: u32,
    /// When it came, for those who came after the origin.
    pub(crate) created: Option<Time>,
}

impl Churn {
    /// The moment of a seat's first turn.
    fn first(&self, world: &World, seat: usize) -> Time {
        let phase = world.noise.below(What::Churn, seat as u64, self.span.from.0, self.period as u64);
        Time(self.span.from.0 + phase as i64)
    }

    /// How many turns there were until a moment, and when the last was.
    fn turns(&self, world: &World, seat: usize, at: Time) -> (u32, Time) {
        let first = self.first(world, seat);
        let at = Time(at.0.min(self.span.until.0 - 1));
        if !self.seats[seat] || at < first || at < self.span.from {
            return (0, Time::DISTANT_PAST);
        }
        let turns = (at.0 - first.0) / self.period + 1;
        (u32::try_from(turns).unwrap_or(u32::MAX), Time(first.0 + (turns - 1) * self.period))
    }
}

impl World {
    /// Who sits in a seat; nobody while it changes hands.
    pub(crate) fn occupant(&self, effects: &Effects, seat: usize, at: Time) -> Option<Occupant> {
        let (mut generation, mut turned) = (0_u32, Time::DISTANT_PAST);
        for churn in &effects.churns {
            let (turns, last) = churn.turns(self, seat, at);
            generation += turns;
            turned = turned.max(last);
        }
        let created = (generation > 0).then_some(Time(turned.0 + VACANT));
        let id = VmId(self.built.first_vm + seat as u32 + generation * self.built.seats.len() as u32);
        created.is_none_or(|created| created <= at).then_some(Occupant { id, generation, created })
    }

    /// The power state, and when the VM was switched on where it is on. `restarts` are the times at which HA did.
    pub(crate) fn power(
        &self,
        effects: &Effects,
        seat: usize,
        who: &Occupant,
        at: Time,
        restarts: &[Time],
    ) -> (Power, Option<Time>) {
        let usual = self.built.seats[seat].power;
        let deployed = who.created.map(|created| Time(created.0 + DEPLOY));
        let plain = |at: Time| if deployed.is_some_and(|deployed| at < deployed) { Power::Off } else { usual };
        let mut mine = effects.switches.iter().filter(|switch| switch.vms.contains(&who.id)).peekable();
        let none = mine.peek().is_none();
        let mine: Vec<_> = if none { Vec::new() } else { mine.collect() };
        let power = |at: Time| {
            let switch = mine.iter().rev().find(|switch| switch.span.holds(at));
            switch.map_or_else(|| plain(at), |switch| switch.power)
        };
        let now = power(at);
        if now != Power::On {
            return (now, None);
        }
        let age = self.noise.between(What::Config, seat as u64, 30, 1.0, 120.0) * DAY as f64;
        let mut boot = deployed.unwrap_or(Time(self.origin.0 - age as i64));
        let switched = mine.iter().flat_map(|switch| [switch.span.from, switch.span.until]);
        for moment in switched.filter(|moment| *moment <= at) {
            if power(moment) == Power::On && power(Time(moment.0 - 1)) != Power::On {
                boot = boot.max(moment);
            }
        }
        let restart = restarts.iter().copied().filter(|moment| *moment <= at).max();
        (now, Some(boot.max(restart.unwrap_or(boot))))
    }

    /// The window of a day in which a VM's backup holds a snapshot; most VMs are backed up without.
    fn backup(&self, seat: usize, day: i64) -> Option<(Time, Time)> {
        let who = seat as u64;
        let has = !self.built.seats[seat].template && self.noise.unit(What::Backup, who, i64::MIN) < 0.25;
        has.then(|| {
            let start = day * DAY + HOUR + self.noise.below(What::Backup, who, 2 * day, 3 * HOUR as u64) as i64;
            let length = 10 * MINUTE + self.noise.below(What::Backup, who, 2 * day + 1, 30 * MINUTE as u64) as i64;
            (Time(start), Time(start + length))
        })
    }

    pub(crate) fn snapshots(&self, effects: &Effects, seat: usize, who: &Occupant, at: Time) -> Vec<Snapshot> {
        let mut found = Vec::new();
        let id = |number: u32| SnapshotId(u64::from(who.id.0) * 1000 + u64::from(number));
        if who.generation == 0 && !self.built.seats[seat].template && seat % 60 == 31 {
            let days = self.noise.between(What::Snapshot, seat as u64, 0, 4.0, 60.0);
            found.push(Snapshot {
                id: id(1),
                number: 1,
                name: "before upgrade".to_owned(),
                description: "delete when the upgrade is done".to_owned(),
                created: Time(self.origin.0 - (days * DAY as f64) as i64),
                quiesced: false,
            });
        }
        if let Some((start, end)) = self.backup(seat, at.0.div_euclid(DAY))
            && start <= at
            && at < end
            && who.created.is_none_or(|created| created <= start)
        {
            let number = 100 + (start.0.div_euclid(DAY)).rem_euclid(500) as u32;
            found.push(Snapshot {
                id: id(number),
                number,
                name: "VMware-Data-Protection".to_owned(),
                description: "taken by the nightly backup".to_owned(),
                created: start,
                quiesced: true,
            });
        }
        for (place, forgotten) in effects.snapshots.iter().enumerate() {
            if forgotten.span.holds(at) && forgotten.vms.contains(&who.id) {
                let number = 600 + place as u32 % 400;
                found.push(Snapshot {
                    id: id(number),
                    number,
                    name: "before the change".to_owned(),
                    description: String::new(),
                    created: Time(forgotten.span.from.0 - forgotten.age),
                    quiesced: false,
                });
            }
        }
        found.sort_by_key(|snapshot| (snapshot.created, snapshot.number));
        found
    }

    /// Moments after one and until another at which anything of this file may change for a seat.
    pub(crate) fn life_moments(&self, effects: &Effects, seat: usize, after: Time, until: Time, into: &mut Vec<Time>) {
        let mut add = |moment: Time| {
            if after < moment && moment <= until {
                into.push(moment);
            }
        };
        for churn in &effects.churns {
            if !churn.seats[seat] {
                continue;
            }
            let first = churn.first(self, seat);
            // From the turn whose effects may still be coming.
            let mut turn = ((after.0 - VACANT - DEPLOY - first.0).div_euclid(churn.period)).max(0);
            loop {
                let moment = first.0 + turn * churn.period;
                if moment > until.0 || moment >= churn.span.until.0 {
                    break;
                }
                add(Time(moment));
                add(Time(moment + VACANT));
                add(Time(moment + VACANT + DEPLOY));
                turn += 1;
            }
        }
        let spans = effects.switches.iter().map(|switch| switch.span).chain(effects.snapshots.iter().map(|s| s.span));
        for span in spans {
            add(span.from);
            add(span.until);
        }
        for day in after.0.div_euclid(DAY)..=until.0.div_euclid(DAY) {
            if let Some((start, end)) = self.backup(seat, day) {
                add(start);
                add(end);
            }
        }
    }
}
