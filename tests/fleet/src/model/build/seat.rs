//! Seats: the places of VMs in an estate. Who sits there changes with churn; what it does and needs stays.

use crate::model::inventory::{Datastore, Disk, GuestFamily, Nic, NicNetwork, Power, Role, Tools, ToolsStatus};
use crate::model::noise::{Noise, What};
use crate::model::{PortgroupId, SwitchId};

/// Teams that own VMs.
pub(crate) const TEAMS: [&str; 5] = ["red", "blue", "green", "amber", "violet"];

/// What a place asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seat {
    pub(crate) role: Role,
    /// Place in [`TEAMS`].
    pub(crate) team: usize,
    pub(crate) production: bool,
    pub(crate) template: bool,
    /// What its power is when nothing is done to it.
    pub(crate) power: Power,
    pub(crate) tools: bool,
    pub(crate) family: GuestFamily,
    pub(crate) vcpus: u32,
    pub(crate) memory_mb: u32,
    /// Capacities in GiB.
    pub(crate) disks_gib: Vec<u64>,
    /// Its number among those of its team and role.
    pub(crate) number: u32,
    /// How busy it is among those of its role: 1 is usual.
    pub(crate) scale: f64,
    /// Place of its cluster.
    pub(crate) cluster: usize,
    /// Place of the host that it runs on when nothing happens.
    pub(crate) home: usize,
    /// Place of the datastore of each disk.
    pub(crate) datastores: Vec<usize>,
}

impl Seat {
    /// Everything but where it is.
    pub(crate) fn new(noise: Noise, place: u32, number: impl FnOnce(usize, Role) -> u32) -> Seat {
        let who = u64::from(place);
        let draw = |when: i64| noise.unit(What::Config, who, when);
        let pick =
            |when: i64, choices: &[u32]| choices[noise.below(What::Config, who, when, choices.len() as u64) as usize];
        let template = place % 50 == 7;
        let role = match draw(0) {
            part if part < 0.32 => Role::Web,
            part if part < 0.45 => Role::Database,
            part if part < 0.57 => Role::Batch,
            part if part < 0.73 => Role::Desktop,
            part if part < 0.93 => Role::Idle,
            _ => Role::Zombie,
        };
        let role = if template { Role::Idle } else { role };
        let team = noise.below(What::Config, who, 1, TEAMS.len() as u64) as usize;
        let power = match place {
            _ if template || place % 16 == 11 => Power::Off,
            _ if place % 100 == 13 => Power::Suspended,
            _ => Power::On,
        };
        let (vcpus, memory_gib) = match role {
            Role::Web => (pick(2, &[2, 2, 2, 4, 4]), pick(3, &[4, 4, 8, 8])),
            Role::Database => (pick(2, &[4, 4, 8, 8, 16]), pick(3, &[16, 16, 32, 32, 64])),
            Role::Batch => (pick(2, &[4, 4, 8]), pick(3, &[8, 8, 16])),
            Role::Desktop => (pick(2, &[2, 2, 4]), pick(3, &[4, 8, 8])),
            Role::Idle => (pick(2, &[1, 2, 2]), pick(3, &[2, 4, 4])),
            Role::Zombie => (pick(2, &[1, 2, 4]), pick(3, &[2, 4, 8])),
        };
        let family = match role {
            Role::Desktop => GuestFamily::Windows,
            _ if draw(4) < 0.25 => GuestFamily::Windows,
            _ => GuestFamily::Linux,
        };
        let mut disks_gib = vec![u64::from(pick(5, &[40, 40, 60, 80]))];
        if role == Role::Database {
            disks_gib.push(u64::from(pick(6, &[200, 300, 500])));
        } else if role == Role::Batch || draw(7) < 0.15 {
            disks_gib.push(u64::from(pick(6, &[50, 100, 200])));
        }
        Seat {
            role,
            team,
            production: draw(8) < 0.7,
            template,
            power,
            tools: place % 20 != 17,
            family,
            vcpus,
            memory_mb: memory_gib * 1024,
            disks_gib,
            number: number(team, role),
            scale: 0.6 + 0.8 * draw(9),
            cluster: 0,
            home: 0,
            datastores: Vec::new(),
        }
    }

    pub(crate) fn team_name(&self) -> &'static str {
        TEAMS[self.team]
    }

    /// The name of the one that sits there. Some were typed by people who had fun.
    pub(crate) fn name(&self, place: u32, generation: u32) -> String {
        const ODD: [&str; 8] = [
            "データベース 01",
            "Bob's \"test\" VM",
            "R&D <old>",
            "trailing space ",
            "müller-größe",
            "a/b %2f 50%",
            "财务-报表-服务器",
            "tab\tand 🦊",
        ];
        let odd = (place >= 25 && (place - 25).is_multiple_of(37)).then(|| ((place - 25) / 37) as usize);
        let name = match odd.and_then(|odd| ODD.get(odd)) {
            Some(odd) => (*odd).to_owned(),
            None if self.template => format!("tpl-{}-{:03}", self.team_name(), self.number),
            None => format!("{}-{}-{:03}", self.team_name(), self.role.name(), self.number),
        };
        if generation == 0 { name } else { format!("{name}-g{generation}") }
    }

    pub(crate) fn hostname(&self, generation: u32) -> String {
        let suffix = if generation == 0 { String::new() } else { format!("-g{generation}") };
        let team = self.team_name();
        format!("{team}-{}-{:03}{suffix}.{team}.fleet.example", self.role.name(), self.number)
    }

    pub(crate) fn guest(&self, draw: f64) -> (&'static str, &'static str) {
        match (self.family, self.role) {
            (GuestFamily::Windows, Role::Desktop) => ("windows9_64Guest", "Microsoft Windows 10 (64-bit)"),
            (GuestFamily::Windows, _) if draw < 0.5 => {
                ("windows2019srv_64Guest", "Microsoft Windows Server 2019 (64-bit)")
            }
            (GuestFamily::Windows, _) => ("windows2019srvNext_64Guest", "Microsoft Windows Server 2022 (64-bit)"),
            (GuestFamily::Linux, _) if draw < 0.4 => ("ubuntu64Guest", "Ubuntu Linux (64-bit)"),
            (GuestFamily::Linux, _) if draw < 0.7 => ("rhel8_64Guest", "Red Hat Enterprise Linux 8 (64-bit)"),
            (GuestFamily::Linux, _) => ("debian11_64Guest", "Debian GNU/Linux 11 (64-bit)"),
        }
    }

    pub(crate) fn tools_now(&self, draw: f64) -> Option<Tools> {
        let tools = match self.family {
            GuestFamily::Linux => Tools { version: 12_325, status: ToolsStatus::Unmanaged },
            GuestFamily::Windows if draw < 0.8 => Tools { version: 12_389, status: ToolsStatus::Current },
            GuestFamily::Windows => Tools { version: 11_333, status: ToolsStatus::SupportedOld },
        };
        self.tools.then_some(tools)
    }

    pub(crate) fn disks(&self, datastores: &[Datastore]) -> Vec<Disk> {
        let disk = |(unit, (gib, datastore)): (usize, (&u64, &usize))| {
            let mount = match (self.family, unit) {
                (GuestFamily::Windows, 0) => "C:\\".to_owned(),
                (GuestFamily::Windows, unit) => format!("{}:\\", char::from(b'C' + unit as u8)),
                (GuestFamily::Linux, 0) => "/".to_owned(),
                (GuestFamily::Linux, unit) => {
                    if unit == 1 {
                        "/data".to_owned()
                    } else {
                        format!("/data{unit}")
                    }
                }
            };
            Disk {
                key: 2000 + unit as i32,
                label: format!("Hard disk {}", unit + 1),
                instance: format!("scsi0:{unit}"),
                unit: unit as u32,
                capacity: gib << 30,
                datastore: datastores[*datastore].id,
                thin: true,
                mount,
            }
        };
        self.disks_gib.iter().zip(&self.datastores).enumerate().map(disk).collect()
    }

    pub(crate) fn nics(&self, id: u32, place: u32, portgroups: &[PortgroupId], switch: SwitchId) -> Vec<Nic> {
        let network =
            |portgroup: PortgroupId, nth: u32| NicNetwork::Distributed { portgroup, switch, port: place * 2 + nth + 1 };
        let mut nics = vec![Nic {
            key: 4000,
            label: "Network adapter 1".to_owned(),
            mac: mac(id, 0),
            network: network(portgroups[self.team], 0),
            addresses: vec![
                format!("10.{}.{}.{}", 20 + self.team, place / 250 % 256, place % 250 + 2),
                format!("fe80::250:56ff:fe{:02x}:{:x}", id >> 16 & 0x3f, id & 0xffff),
            ],
        }];
        if self.role == Role::Database {
            let backup = portgroups[TEAMS.len()];
            nics.push(Nic {
                key: 4001,
                label: "Network adapter 2".to_owned(),
                mac: mac(id, 1),
                network: network(backup, 1),
                addresses: vec![format!("10.90.{}.{}", place / 250 % 256, place % 250 + 2)],
            });
        }
        nics
    }
}

/// VMware gives 00:50:56 with a fourth byte up to 3f to what vCenter assigns. The second card differs in one bit of it.
fn mac(id: u32, nth: u32) -> String {
    format!("00:50:56:{:02x}:{:02x}:{:02x}", (id >> 16 & 0x1f) | nth << 5, id >> 8 & 0xff, id & 0xff)
}
