//! Ids that stay when an object moves, and that no two objects share: two series with the same labels would make
//! Prometheus refuse the whole page.

use std::collections::HashMap;

/// What an object could be called.
pub(super) struct Candidate {
    /// Its own id.
    pub(super) id: String,
    /// In place of the id where another object has the same.
    pub(super) otherwise: String,
    /// What is put behind if that is not enough either.
    pub(super) moref: String,
}

/// An id for each candidate, in their order, and how many of them could not have their own.
pub(super) fn identify(candidates: Vec<Candidate>) -> (Vec<String>, usize) {
    let uses = count(candidates.iter().map(|candidate| candidate.id.as_str()));
    let doubled: Vec<bool> = candidates.iter().map(|candidate| uses[&candidate.id] > 1).collect();
    let chosen: Vec<(String, String)> = candidates
        .into_iter()
        .zip(&doubled)
        .map(|(candidate, doubled)| (if *doubled { candidate.otherwise } else { candidate.id }, candidate.moref))
        .collect();
    let uses = count(chosen.iter().map(|(id, _)| id.as_str()));
    let ids =
        chosen.iter().map(|(id, moref)| if uses[id] > 1 { format!("{id}:{moref}") } else { id.clone() }).collect();
    (ids, doubled.into_iter().filter(|doubled| *doubled).count())
}

fn count<'a>(ids: impl Iterator<Item = &'a str>) -> HashMap<String, usize> {
    let mut uses = HashMap::new();
    for id in ids {
        *uses.entry(id.to_owned()).or_default() += 1;
    }
    uses
}

/// The part of a datastore's URL that is the same on every vCenter and ESXi: the name of its volume.
pub(super) fn volume(url: &str) -> Option<&str> {
    url.trim_end_matches('/').rsplit('/').next().filter(|volume| !volume.is_empty())
}

/// A name as vSphere's own client shows it. The API gives `/`, `\` and `%` in names as `%2f`, `%5c` and `%25`.
pub(super) fn shown_name(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('%') {
        shown.push_str(&rest[..at]);
        let code = rest.get(at..at + 3).map(str::to_ascii_lowercase);
        let (c, length) = match code.as_deref() {
            Some("%2f") => ('/', 3),
            Some("%5c") => ('\\', 3),
            Some("%25") => ('%', 3),
            _ => ('%', 1),
        };
        shown.push(c);
        rest = &rest[at + length..];
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(candidates: &[(&str, &str, &str)], expected: &[&str], doubled: usize) {
        let candidate = |(id, otherwise, moref): &(&str, &str, &str)| Candidate {
            id: (*id).to_owned(),
            otherwise: (*otherwise).to_owned(),
            moref: (*moref).to_owned(),
        };
        let found = identify(candidates.iter().map(candidate).collect());
        assert_eq!(found, (expected.iter().map(|id| (*id).to_owned()).collect(), doubled));
    }

    #[test]
    fn an_id_of_its_own_is_kept() {
        check(&[("u1", "u1:vm-1", "vm-1"), ("u2", "u2:vm-2", "vm-2")], &["u1", "u2"], 0);
    }

    #[test]
    fn a_doubled_id_is_replaced_on_all_its_objects() {
        let candidates = [("u", "u:vm-1", "vm-1"), ("u", "u:vm-2", "vm-2"), ("v", "v:vm-3", "vm-3")];
        check(&candidates, &["u:vm-1", "u:vm-2", "v"], 2);
    }

    #[test]
    fn replacements_that_are_doubled_too_are_told_apart() {
        check(&[("u", "esx", "host-1"), ("u", "esx", "host-2")], &["esx:host-1", "esx:host-2"], 2);
        check(&[("u", "x", "1"), ("u", "y", "2"), ("x", "z", "3")], &["x:1", "y", "x:3"], 2);
    }

    #[test]
    fn a_volume_has_one_name_on_vcenter_and_esxi() {
        assert_eq!(volume("ds:///vmfs/volumes/5c9e-1/"), Some("5c9e-1"));
        assert_eq!(volume("/vmfs/volumes/5c9e-1"), Some("5c9e-1"));
        assert_eq!(volume("ds:///vmfs/volumes/vsan:52e0-9/"), Some("vsan:52e0-9"));
        assert_eq!(volume(""), None);
    }

    #[test]
    fn names_are_shown_as_in_the_client() {
        assert_eq!(shown_name("a%2fb%5Cc%25d"), "a/b\\c%d");
        assert_eq!(shown_name("100% %é %2"), "100% %é %2");
        assert_eq!(shown_name("%252f"), "%2f");
    }
}
