//! Snapshots of a VM: how many, how old, how deep, how large.

use serde::{Deserialize, Serialize};

use crate::vsphere::Value;

/// What is known of a VM's snapshots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshots {
    /// How many there are.
    pub count: usize,
    /// The longest chain: each of them makes the VM slower.
    pub depth: usize,
    /// When the oldest was made, in Unix milliseconds.
    pub oldest: Option<i64>,
}

impl Snapshots {
    /// Reads `VirtualMachineSnapshotInfo`: without it there are no snapshots. `None` where it cannot be read.
    pub(super) fn of(info: Option<&Value>) -> Option<Self> {
        if info == Some(&Value::TooDeep) {
            return None;
        }
        let mut found = Self::default();
        // A stack of its own, since the tree is as deep as users make it.
        let roots = info.into_iter().flat_map(|info| info.all("rootSnapshotList"));
        let mut open: Vec<(&Value, usize)> = roots.map(|root| (root, 1)).collect();
        while let Some((snapshot, depth)) = open.pop() {
            found.count += 1;
            found.depth = found.depth.max(depth);
            let made = snapshot.parse_at::<jiff::Timestamp>("createTime").map(|time| time.as_millisecond());
            found.oldest = match (found.oldest, made) {
                (Some(oldest), Some(made)) => Some(oldest.min(made)),
                (oldest, made) => oldest.or(made),
            };
            open.extend(snapshot.all("childSnapshotList").map(|child| (child, depth + 1)));
        }
        Some(found)
    }
}

/// What snapshots take in datastores: the files of `VirtualMachineFileLayoutEx` that came with them. That are the
/// changes since the oldest one, and the memory that was saved. `None` where that is not known.
pub(super) fn size(layout: &Value) -> Option<u64> {
    let file_size = |key: i64| {
        let file = layout.all("file").find(|file| file.parse_at("key") == Some(key))?;
        file.parse_at::<u64>("size")
    };
    let mut bytes = 0u64;
    for disk in layout.all("disk") {
        // The first link of the chain is the disk as it was; each of the others holds what was written after a snapshot.
        for key in disk.all("chain").skip(1).flat_map(|link| link.all("fileKey")) {
            bytes = bytes.checked_add(file_size(key.parse()?)?)?;
        }
    }
    for snapshot in layout.all("snapshot") {
        let memory = snapshot.parse_at::<i64>("memoryKey").filter(|key| *key >= 0);
        for key in memory.into_iter().chain(snapshot.parse_at("dataKey")) {
            bytes = bytes.checked_add(file_size(key)?)?;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vsphere::Field;

    fn text(name: &str, text: &str) -> Field {
        Field { name: name.into(), kind: None, value: Value::Text(text.into()) }
    }

    fn list(name: &str, fields: Vec<Field>) -> Field {
        Field { name: name.into(), kind: None, value: Value::Fields(fields) }
    }

    fn snapshot(name: &str, day: u32, children: Vec<Field>) -> Field {
        list(name, [vec![text("createTime", &format!("2026-01-{day:02}T00:00:00Z"))], children].concat())
    }

    #[test]
    fn a_vm_without_snapshots_has_none() {
        assert_eq!(Snapshots::of(None), Some(Snapshots::default()));
        assert_eq!(Snapshots::of(Some(&Value::Text("".into()))), Some(Snapshots::default()));
        assert_eq!(Snapshots::of(Some(&Value::TooDeep)), None);
    }

    #[test]
    fn all_branches_are_counted() {
        let child = |day| snapshot("childSnapshotList", day, vec![]);
        let deep = snapshot("childSnapshotList", 4, vec![child(5)]);
        let info = Value::Fields(vec![snapshot("rootSnapshotList", 3, vec![child(2), deep])]);
        let found = Snapshots::of(Some(&info)).unwrap();
        assert_eq!((found.count, found.depth), (4, 3));
        assert_eq!(found.oldest, Some(1_767_312_000_000));
    }

    #[test]
    fn the_size_is_that_of_the_files_that_came_with_snapshots() {
        let file = |key: &str, size: &str| list("file", vec![text("key", key), text("size", size)]);
        let link = |key: &str| list("chain", vec![text("fileKey", key)]);
        let disk = list("disk", vec![text("key", "2000"), link("1"), link("2"), link("3")]);
        let with = |snapshot: Field| {
            let files = [file("1", "1000"), file("2", "20"), file("3", "3"), file("4", "400")];
            Value::Fields([vec![disk.clone(), snapshot], files.to_vec()].concat())
        };
        let memory = list("snapshot", vec![text("dataKey", "3"), text("memoryKey", "4")]);
        assert_eq!(size(&with(memory)), Some(20 + 3 + 3 + 400));
        assert_eq!(size(&with(list("snapshot", vec![text("dataKey", "9")]))), None, "a file that is not listed");
        assert_eq!(size(&with(list("snapshot", vec![text("dataKey", "3"), text("memoryKey", "-1")]))), Some(26));
    }
}
