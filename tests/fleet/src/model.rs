//! The estate as a function of seed, size, time and events.
//!
//! Nothing here has a clock, does I/O, or remembers: whoever asks says which moment is meant, and the same question
//! has the same answer whatever was asked before. So a past moment can be asked for as well as the present one, and
//! an hour of samples asked in one go equals the same hour asked minute by minute.

mod counter;
mod id;
mod inventory;
mod noise;
mod size;
mod time;

pub use counter::{COUNTERS, Counter, CounterInfo, Instances, Rollup, Stats};
pub use id::{
    AlarmId, ClusterId, DatacenterId, DatastoreId, Entity, FolderId, FolderKind, HostId, NetworkId, PoolId,
    PortgroupId, SnapshotId, SwitchId, VappId, VmId,
};
pub use inventory::*;
pub use size::Size;
pub use time::{TICK_MILLIS, Tick, Time};
