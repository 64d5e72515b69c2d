//! The structure at a moment, put together from the seats.

use std::sync::Arc;

use super::build::{ATTRIBUTE_COST_CENTRE, ATTRIBUTE_OWNER, ATTRIBUTE_TEAM, TEAMS, uuid};
use super::effect::Effects;
use super::inventory::{AttributeValue, Connection, Host, Role, TagId, Vm, VmConfig};
use super::life::Occupant;
use super::noise::What;
use super::time::{DAY, Time};
use super::{VmId, World};

impl World {
    /// The VM in a seat at a moment.
    pub(crate) fn vm_at(&self, effects: &Effects, seat: usize, at: Time) -> Option<Vm> {
        let who = self.occupant(effects, seat, at)?;
        let (place, restarts) = self.place(effects, seat, &who, at);
        let (power, boot_time) = self.power(effects, seat, &who, at, &restarts);
        Some(Vm {
            id: who.id,
            config: self.config(seat, &who),
            host: self.built.estate.host_ids[place.host],
            power,
            connected: place.connected,
            boot_time,
            snapshots: self.snapshots(effects, seat, &who, at),
        })
    }

    /// All VMs at a moment, in the order of their ids.
    pub(crate) fn vms_at(&self, effects: &Effects, at: Time) -> Vec<Vm> {
        let mut vms: Vec<Vm> = (0..self.built.seats.len()).filter_map(|seat| self.vm_at(effects, seat, at)).collect();
        vms.sort_by_key(|vm| vm.id);
        vms
    }

    /// A host at a moment.
    pub(crate) fn host_at(&self, effects: &Effects, host: usize, at: Time) -> Host {
        let days = self.noise.between(What::Host, host as u64, 2, 10.0, 200.0);
        let first = Time(self.origin.0 - (days * DAY as f64) as i64);
        let failures = effects.failures().filter(|failure| failure.host == host);
        let back = failures.map(|failure| failure.span.until).filter(|until| *until <= at).max();
        let down = self.down(effects, host, at);
        Host {
            id: self.built.estate.host_ids[host],
            config: self.built.estate.hosts[host].clone(),
            connection: if down { Connection::NotResponding } else { Connection::Connected },
            maintenance: self.in_maintenance(effects, host, at),
            boot_time: back.unwrap_or(first),
        }
    }

    /// The seat that a VM has or had.
    pub(crate) fn seat_of(&self, id: VmId) -> Option<usize> {
        let seats = self.built.seats.len() as u32;
        (seats > 0 && id.0 >= self.built.first_vm).then(|| ((id.0 - self.built.first_vm) % seats) as usize)
    }

    /// The fixed part of a VM. Those who were there at the origin keep theirs.
    pub(crate) fn config(&self, seat: usize, who: &Occupant) -> Arc<VmConfig> {
        if who.generation == 0
            && let Some(config) = self.configs.get(seat)
        {
            return config.clone();
        }
        Arc::new(self.new_config(seat, who))
    }

    pub(crate) fn new_config(&self, seat: usize, who: &Occupant) -> VmConfig {
        let (place, mine) = (seat as u32, &self.built.seats[seat]);
        let draw = |when: i64| self.noise.unit(What::Config, seat as u64, when);
        let (guest_id, guest_full_name) = mine.guest(draw(20));
        // One VM was copied by hand, and its identity with it.
        let identity = if seat == 23 && self.built.seats.len() >= 40 && who.generation == 0 {
            u64::from(self.built.first_vm) + 19
        } else {
            u64::from(who.id.0)
        };
        let team = mine.team_name();
        let in_vapp =
            mine.role == Role::Web && mine.team == 0 && mine.production && !mine.template && seat.is_multiple_of(3);
        let vapp = in_vapp.then(|| self.built.estate.vapps[mine.cluster].id);
        let age = (30.0 + 900.0 * draw(21)) * DAY as f64;
        VmConfig {
            name: mine.name(place, who.generation),
            instance_uuid: uuid(self.noise, 10, identity, Some(0x50)),
            bios_uuid: uuid(self.noise, 11, u64::from(who.id.0), Some(0x42)),
            template: mine.template,
            created: who.created.unwrap_or(Time(self.origin.0 - age as i64)),
            annotation: if draw(22) < 0.3 {
                format!("owned by team {team}\nticket OPS-{}", 1000 + seat)
            } else {
                String::new()
            },
            guest_id,
            guest_full_name,
            family: mine.family,
            hardware_version: if draw(23) < 0.7 { "vmx-19" } else { "vmx-15" },
            firmware: if draw(24) < 0.6 { "efi" } else { "bios" },
            vcpus: mine.vcpus,
            cores_per_socket: if mine.vcpus >= 8 { mine.vcpus / 2 } else { 1 },
            memory_mb: mine.memory_mb,
            cpu_reservation_mhz: 0,
            memory_reservation_mb: if mine.role == Role::Database && mine.production { mine.memory_mb / 4 } else { 0 },
            disks: mine.disks(&self.built.estate.datastores),
            nics: mine.nics(who.id.0, place, self.built.portgroups(mine), self.built.switch(mine)),
            folder: self.built.folder(mine),
            pool: (!mine.template && vapp.is_none()).then(|| self.built.pool(mine)),
            vapp,
            hostname: mine.hostname(who.generation),
            tools: mine.tools_now(draw(25)),
            role: mine.role,
            team,
            tags: self.tags(seat),
            attributes: self.attributes(seat),
        }
    }

    /// Most VMs have a tag for their team, nearly all one for their environment, some a tier and a backup plan.
    fn tags(&self, seat: usize) -> Vec<TagId> {
        let mine = &self.built.seats[seat];
        let draw = |when: i64| self.noise.unit(What::Config, seat as u64, when);
        let first = TEAMS.len() as u32;
        let tier = if mine.role == Role::Database { 0 } else { 1 + u32::from(draw(40) < 0.5) };
        let tags = [
            (draw(41) < 0.85).then_some(mine.team as u32),
            (draw(42) < 0.95).then_some(first + u32::from(!mine.production)),
            (draw(43) < 0.6).then_some(first + 2 + tier),
            mine.production.then_some(first + 5),
            (mine.role == Role::Database).then_some(first + 6),
        ];
        tags.into_iter().flatten().map(TagId).collect()
    }

    fn attributes(&self, seat: usize) -> Vec<AttributeValue> {
        let mine = &self.built.seats[seat];
        let draw = |when: i64| self.noise.unit(What::Config, seat as u64, when);
        let team = mine.team_name();
        let values = [
            (draw(50) < 0.7).then(|| (ATTRIBUTE_OWNER, format!("{team}@fleet.example"))),
            (draw(51) < 0.5).then(|| (ATTRIBUTE_TEAM, team.to_owned())),
            (draw(52) < 0.4).then(|| (ATTRIBUTE_COST_CENTRE, format!("CC-{}", 4000 + mine.team))),
        ];
        values.into_iter().flatten().map(|(key, value)| AttributeValue { key, value }).collect()
    }
}
