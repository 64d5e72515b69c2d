//! Mounted file systems and the room in them.

use std::collections::{HashMap, HashSet};

use super::{Collection, Malformed, malformed, number};

/// As `stat -f` prints it, before the path.
const FIELDS: usize = 6;

pub(super) fn collect(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    let mut room = HashMap::new();
    for line in collection.reading.lines("statfs") {
        let mut fields = line.splitn(FIELDS + 1, ' ');
        let numbers =
            fields.by_ref().take(FIELDS).map(|field| number("stat -f", field)).collect::<Result<Vec<_>, _>>()?;
        let (Ok(numbers), Some(path)) = (<[f64; FIELDS]>::try_from(numbers), fields.next()) else {
            return Err(malformed("stat -f", "six numbers and a path", line));
        };
        room.insert(path, numbers);
    }
    let mut seen = HashSet::new();
    for line in collection.reading.lines("mount") {
        let [device, point, kind, options] = *line.split(' ').collect::<Vec<_>>() else {
            return Err(malformed("/proc/self/mounts", "a device, a path, a type and options", line));
        };
        if !seen.insert((device, point, kind)) {
            continue;
        }
        // What node_exporter shows, which takes these two back and no others.
        let shown = point.replace(r"\040", " ").replace(r"\011", "\t");
        let labels = [("device", device), ("mountpoint", shown.as_str()), ("fstype", kind)];
        let out = &mut collection.out;
        let found = room.get(unescaped(point).as_str());
        let help = "Whether an error occurred while getting statistics for the given device.";
        out.gauge("node_filesystem_device_error", help, &labels, if found.is_some() { 0.0 } else { 1.0 });
        let Some([block, blocks, free, available, files, files_free]) = found else { continue };
        out.gauge("node_filesystem_size_bytes", "Filesystem size in bytes.", &labels, blocks * block);
        out.gauge("node_filesystem_free_bytes", "Filesystem free space in bytes.", &labels, free * block);
        let help = "Filesystem space available to non-root users in bytes.";
        out.gauge("node_filesystem_avail_bytes", help, &labels, available * block);
        out.gauge("node_filesystem_files", "Filesystem total file nodes.", &labels, *files);
        out.gauge("node_filesystem_files_free", "Filesystem total free file nodes.", &labels, *files_free);
        let read_only = if options.split(',').any(|option| option == "ro") { 1.0 } else { 0.0 };
        out.gauge("node_filesystem_readonly", "Filesystem read-only status.", &labels, read_only);
    }
    Ok(())
}

/// The path that the kernel escaped: `\040` is a space.
fn unescaped(point: &str) -> String {
    let mut parts = point.split('\\');
    let mut path = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..3).map(|digits| u8::from_str_radix(digits, 8)) {
            Some(Ok(byte)) => {
                path.push(byte);
                path.extend_from_slice(&part.as_bytes()[3..]);
            }
            _ => {
                path.push(b'\\');
                path.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&path).into_owned()
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn what_the_kernel_escaped_is_taken_back() {
        assert_eq!(unescaped(r"/mnt/a\040b\134c"), r"/mnt/a b\c");
        assert_eq!(unescaped(r"/mnt/\9"), r"/mnt/\9");
    }
}
