//! Resource pools and vApps.

use super::{Metric, Source, Unit, gauge, labelled, number};

pub(super) static METRICS: &[Metric] = &[
    labelled(
        "vsphere_resource_pool_info",
        Unit::Info,
        &["cluster", "kind"],
        Source::Pool("owner, parent", |pool, out| {
            let kind = if pool.vapp { "vapp" } else { "resource_pool" };
            out.labelled(&[("cluster", &pool.cluster), ("kind", kind)], 1.0);
        }),
        "Where the resource pool or vApp belongs",
    ),
    gauge(
        "vsphere_resource_pool_vms",
        Unit::Count,
        Source::Pool("resourcePool", |pool, out| out.value(pool.vms as f64)),
        "Virtual machines in the pool itself, without those in pools below it",
    ),
    gauge(
        "vsphere_resource_pool_cpu_reservation_hertz",
        Unit::Hertz,
        Source::Pool("config.cpuAllocation.reservation", |pool, out| {
            out.maybe(number(pool.allocation.cpu_reservation_hertz));
        }),
        "CPU that is set aside for the pool",
    ),
    gauge(
        "vsphere_resource_pool_cpu_limit_hertz",
        Unit::Hertz,
        Source::Pool("config.cpuAllocation.limit", |pool, out| out.maybe(number(pool.allocation.cpu_limit_hertz))),
        "CPU that the pool may use at most; absent without a limit",
    ),
    gauge(
        "vsphere_resource_pool_memory_reservation_bytes",
        Unit::Bytes,
        Source::Pool("config.memoryAllocation.reservation", |pool, out| {
            out.maybe(number(pool.allocation.memory_reservation_bytes));
        }),
        "Memory that is set aside for the pool",
    ),
    gauge(
        "vsphere_resource_pool_memory_limit_bytes",
        Unit::Bytes,
        Source::Pool("config.memoryAllocation.limit", |pool, out| {
            out.maybe(number(pool.allocation.memory_limit_bytes));
        }),
        "Memory that the pool may use at most; absent without a limit",
    ),
    gauge(
        "vsphere_resource_pool_cpu_usage_hertz",
        Unit::Hertz,
        Source::Pool("runtime.cpu.overallUsage", |pool, out| out.maybe(number(pool.cpu_usage_hertz))),
        "CPU in use, read every few minutes",
    ),
    gauge(
        "vsphere_resource_pool_memory_usage_bytes",
        Unit::Bytes,
        Source::Pool("runtime.memory.overallUsage", |pool, out| out.maybe(number(pool.memory_usage_bytes))),
        "Memory in use, read every few minutes",
    ),
];
