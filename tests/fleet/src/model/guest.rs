//! What a guest sees of itself: the same numbers as vSphere's, from inside.

use super::inventory::{Disk, GuestFamily, Nic, Role, Vm};
use super::load::Field;
use super::{Model, Time};

/// What a running guest sees.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestView {
    /// Seconds since the guest's system started.
    pub uptime: f64,
    /// Part of all virtual CPUs in which the guest's own processes ran.
    pub cpu_busy: f64,
    /// Part in which a virtual CPU was ready and did not run, which Linux shows as steal time.
    pub cpu_steal: f64,
    /// Part in which it waited for disks.
    pub cpu_io_wait: f64,
    /// Bytes that the guest believes to have.
    pub memory_total: u64,
    /// Bytes in use by processes, the balloon driver included.
    pub memory_used: u64,
    /// Bytes of the page cache.
    pub memory_cached: u64,
    /// Disks, in the order of the VM's.
    pub disks: Vec<GuestDisk>,
    /// File systems, one a disk.
    pub file_systems: Vec<FileSystem>,
    /// Network cards, in the order of the VM's.
    pub nics: Vec<GuestNic>,
    /// What runs there, the largest first.
    pub processes: Vec<GuestProcess>,
}

/// A disk, in the 20 s before the moment.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestDisk {
    /// As the guest names it: `sda`, `0 C:`.
    pub name: String,
    /// Operations a second.
    pub reads: f64,
    /// Operations a second.
    pub writes: f64,
    /// Bytes a second.
    pub read: f64,
    /// Bytes a second.
    pub written: f64,
    /// Seconds an operation takes.
    pub latency: f64,
}

/// A file system.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSystem {
    /// `guest.disk.diskPath`
    pub mount: String,
    /// `ext4`, `xfs` or `NTFS`
    pub kind: &'static str,
    /// `guest.disk.capacity`, bytes
    pub capacity: u64,
    /// `guest.disk.freeSpace`, bytes
    pub free: u64,
}

/// A network card, in the 20 s before the moment.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestNic {
    /// As the guest names it: `ens192`, `Ethernet0`.
    pub name: String,
    /// Bytes a second.
    pub received: f64,
    /// Bytes a second.
    pub sent: f64,
}

/// Processes of one program.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestProcess {
    /// The program.
    pub name: &'static str,
    /// How many there are.
    pub count: u32,
    /// Virtual CPUs in use.
    pub cpus: f64,
    /// Bytes of memory.
    pub memory: u64,
}

impl Model {
    /// What the guest of a VM sees at a moment; none when the VM was not running for the last 20 s.
    pub fn guest(&self, vm: &Vm, at: Time) -> Option<GuestView> {
        let load = self.load(at.tick());
        let seat = self.world.seat_of(vm.id)?;
        let mine = load.vms.get(seat)?.as_ref().filter(|load| load.id == vm.id)?;
        let numbers = &mine.numbers;
        let config = &vm.config;
        let all = f64::from(config.vcpus) * 20_000.0;
        let bytes = |field: Field| (numbers[field] * 1024.0) as u64;
        let (busy, stolen) = (numbers[Field::Used] / all, (numbers[Field::Ready] + numbers[Field::Costop]) / all);
        let under_way = numbers[Field::Reads] * numbers[Field::ReadLatency] / 1000.0
            + numbers[Field::Writes] * numbers[Field::WriteLatency] / 1000.0;
        let waiting = (under_way / f64::from(config.vcpus)).min((1.0 - busy - stolen).max(0.0)) * 0.5;
        let total = u64::from(config.memory_mb) << 20;
        let used = (bytes(Field::Guest) + bytes(Field::Balloon)).min(total);
        let disk = |(nth, disk): (usize, &Disk)| {
            let part = self.world.disk_part(seat, nth);
            GuestDisk {
                name: match config.family {
                    GuestFamily::Linux => format!("sd{}", char::from(b'a' + nth as u8)),
                    GuestFamily::Windows => format!("{nth} {}", disk.mount.trim_end_matches('\\')),
                },
                reads: numbers[Field::Reads] * part,
                writes: numbers[Field::Writes] * part,
                read: numbers[Field::Read] * part * 1024.0,
                written: numbers[Field::Written] * part * 1024.0,
                latency: (numbers[Field::ReadLatency] + numbers[Field::WriteLatency]) / 2.0 / 1000.0,
            }
        };
        let nic = |(nth, _): (usize, &Nic)| {
            let part = match (config.nics.len(), nth) {
                (1, _) => 1.0,
                (_, 0) => 0.8,
                (n, _) => 0.2 / (n - 1) as f64,
            };
            GuestNic {
                name: match config.family {
                    GuestFamily::Linux => format!("ens{}", 192 + 32 * nth),
                    GuestFamily::Windows => format!("Ethernet{nth}"),
                },
                received: numbers[Field::Received] * part * 1024.0,
                sent: numbers[Field::Sent] * part * 1024.0,
            }
        };
        Some(GuestView {
            uptime: numbers[Field::OsUptime],
            cpu_busy: busy,
            cpu_steal: stolen,
            cpu_io_wait: waiting,
            memory_total: total,
            memory_used: used,
            memory_cached: bytes(Field::Granted).saturating_sub(bytes(Field::Guest)).min(total - used),
            disks: config.disks.iter().enumerate().map(disk).collect(),
            file_systems: self.file_systems(vm, at),
            nics: config.nics.iter().enumerate().map(nic).collect(),
            processes: processes(vm, busy, bytes(Field::Guest)),
        })
    }

    /// A guest's file systems. Its partition tables and metadata take a little of each disk.
    pub fn file_systems(&self, vm: &Vm, at: Time) -> Vec<FileSystem> {
        let used = self.vm_space(vm, at).disks;
        let file_system = |(disk, used): (&Disk, u64)| {
            let capacity = disk.capacity - disk.capacity / 64;
            let kind = match (vm.config.family, disk.unit) {
                (GuestFamily::Windows, _) => "NTFS",
                (GuestFamily::Linux, 0) => "ext4",
                (GuestFamily::Linux, _) => "xfs",
            };
            FileSystem { mount: disk.mount.clone(), kind, capacity, free: capacity.saturating_sub(used) }
        };
        vm.config.disks.iter().zip(used).map(file_system).collect()
    }
}

/// The program that does the work has nearly all of it, the system the rest.
fn processes(vm: &Vm, busy: f64, memory: u64) -> Vec<GuestProcess> {
    let (name, count) = match (vm.config.role, vm.config.family) {
        (Role::Web, GuestFamily::Linux) => ("nginx", vm.config.vcpus + 1),
        (Role::Web, GuestFamily::Windows) => ("w3wp", vm.config.vcpus),
        (Role::Database, GuestFamily::Linux) => ("postgres", 20 + 4 * vm.config.vcpus),
        (Role::Database, GuestFamily::Windows) => ("sqlservr", 1),
        (Role::Batch, _) => ("java", 1),
        (Role::Desktop, _) => ("msedge", 12),
        (Role::Idle | Role::Zombie, GuestFamily::Linux) => ("sshd", 1),
        (Role::Idle | Role::Zombie, GuestFamily::Windows) => ("svchost", 60),
    };
    let cpus = busy * f64::from(vm.config.vcpus);
    let system = if vm.config.family == GuestFamily::Linux { "systemd" } else { "System" };
    vec![
        GuestProcess { name, count, cpus: cpus * 0.9, memory: memory / 10 * 9 },
        GuestProcess { name: system, count: 1, cpus: cpus * 0.1, memory: memory - memory / 10 * 9 },
    ]
}
