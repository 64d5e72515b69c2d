//! What samples, and buckets, come to, as SQL.

/// The columns of a roll-up but its key and when it was made.
pub(super) const COLUMNS: &str = "count, sum, min, max, first, first_time, last, last_time, resets, stale";

/// The bits of a stale marker.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A query of buckets from the samples that meet a condition: `vm_key`, `series_id`, `bucket` and [`COLUMNS`]. Samples
/// are sorted by time, each once; a stale marker says that a series has ended, and is no value. Sums are compensated as
/// those of Prometheus are, unless they are infinite.
pub(crate) fn of_samples(seconds: i64, condition: &str) -> String {
    let bucket = bucket_end(seconds);
    format!(
        "SELECT vm_key, series_id, toDateTime(intDiv(ends, 1000), 'UTC') AS bucket, \
         toUInt32(length(values)) AS count, \
         if(isFinite(arraySum(values)), arrayReduce('sumKahan', values), arraySum(values)) AS sum, \
         if(empty(numbers), nan, arrayMin(numbers)) AS min, if(empty(numbers), nan, arrayMax(numbers)) AS max, \
         values[1] AS first, fromUnixTimestamp64Milli(kept[1].1, 'UTC') AS first_time, \
         values[-1] AS last, fromUnixTimestamp64Milli(kept[-1].1, 'UTC') AS last_time, \
         arraySum((value, next) -> if(next < value, value, 0), arrayPopBack(values), arrayPopFront(values)) AS resets, \
         (reinterpretAsUInt64(sorted[-1].2) = {STALE})::Bool AS stale \
         FROM (SELECT vm_key, series_id, {bucket} AS ends, \
         arraySort(groupArray((toUnixTimestamp64Milli(timestamp), value))) AS sorted, \
         arrayFilter(sample -> reinterpretAsUInt64(sample.2) != {STALE}, sorted) AS kept, \
         arrayMap(sample -> sample.2, kept) AS values, \
         arrayFilter(value -> NOT isNaN(value), values) AS numbers \
         FROM samples FINAL WHERE {condition} GROUP BY vm_key, series_id, ends)"
    )
}

/// The end of a sample's bucket, in milliseconds.
pub(crate) fn bucket_end(seconds: i64) -> String {
    let millis = seconds * 1000;
    format!("intDiv(toUnixTimestamp64Milli(timestamp) + {millis} - 1, {millis}) * {millis}")
}

/// Makes a block of hours. Placeholders: its end in seconds, its start and its end in milliseconds, the first and the last
/// key. An hour with nothing but stale markers has no first and no last value.
pub(super) fn insert_block() -> String {
    format!(
        "INSERT INTO rollup_6h SELECT metric_name, toDateTime(?, 'UTC') AS block, vm_key, series_id, \
         toUInt32(arraySum(hour -> hour.2, hours)), \
         if(isFinite(arraySum(sums)), arrayReduce('sumKahan', sums), arraySum(sums)), \
         if(empty(mins), nan, arrayMin(mins)), if(empty(maxs), nan, arrayMax(maxs)), \
         kept[1].6, kept[1].7, kept[-1].8, kept[-1].9, \
         arraySum(hour -> hour.10, kept) \
         + arraySum((hour, next) -> if(next.6 < hour.8, hour.8, 0), arrayPopBack(kept), arrayPopFront(kept)), \
         hours[-1].11, now64(3, 'UTC') \
         FROM (SELECT metric_name, vm_key, series_id, arraySort(groupArray((bucket, {COLUMNS}))) AS hours, \
         arrayFilter(hour -> hour.2 > 0, hours) AS kept, \
         arrayMap(hour -> hour.3, kept) AS sums, \
         arrayFilter(value -> NOT isNaN(value), arrayMap(hour -> hour.4, kept)) AS mins, \
         arrayFilter(value -> NOT isNaN(value), arrayMap(hour -> hour.5, kept)) AS maxs \
         FROM rollup_1h FINAL \
         WHERE bucket > fromUnixTimestamp64Milli(?, 'UTC') AND bucket <= fromUnixTimestamp64Milli(?, 'UTC') \
         AND vm_key BETWEEN ? AND ? GROUP BY metric_name, vm_key, series_id)"
    )
}
