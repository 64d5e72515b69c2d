//! What a label set is to the archive: an identity that no restart and no other bridge computes differently.
//!
//! The identity is the 128-bit XXH3 of the sorted labels. With a billion series in two years the chance that any two
//! share one is below 1e-20, so it is not checked; 64 bits would make it 3 %. XXH3 is not cryptographic: who may write
//! samples could make a collision, and could as well write the other series directly.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

pub(crate) const METRIC_NAME: &str = "__name__";
/// A series of the exporter has about ten. Prometheus has no limit of its own.
const MAX_LABELS: usize = 256;
/// Names and values of one series together.
const MAX_LABEL_BYTES: usize = 64 << 10;

/// Identity of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) series_id: u128,
    /// Groups the series of one virtual machine; 0 for series of none.
    pub(crate) vm_key: u64,
}

/// Why labels name no series.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LabelError {
    #[error("a series without labels")]
    None,
    #[error("a label without a name")]
    EmptyName,
    #[error("label `{0}` twice")]
    Duplicate(String),
    #[error("{0} labels, at most {MAX_LABELS} are taken")]
    TooMany(usize),
    #[error("{0} bytes of labels, at most {MAX_LABEL_BYTES} are taken")]
    TooLong(usize),
}

/// Names and values.
pub(crate) type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// The labels of a series: sorted, each once, none without a value (to Prometheus that is none).
///
/// Kept as the bytes that its identity is the hash of: names and values in turn, each behind its length in four bytes, so
/// that no two sets give the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelSet(Box<[u8]>);

impl LabelSet {
    /// Of labels in any order; with an error they are given back.
    pub(crate) fn of_pairs(mut labels: Pairs<'_>) -> Result<Self, (LabelError, Pairs<'_>)> {
        if labels.len() > MAX_LABELS {
            return Err((LabelError::TooMany(labels.len()), labels));
        }
        // Senders write them sorted, each once, and none without a value.
        let is_in_order = labels.is_sorted_by(|one, next| one.0 < next.0);
        if !is_in_order || labels.iter().any(|(_, value)| value.is_empty()) {
            labels.retain(|(name, value)| !value.is_empty() || name.is_empty());
            labels.sort_unstable();
        }
        let problem = match labels.first() {
            None => Some(LabelError::None),
            Some(("", _)) => Some(LabelError::EmptyName),
            Some(_) if is_in_order => None,
            Some(_) => {
                let twice = labels.windows(2).find(|pair| pair[0].0 == pair[1].0);
                twice.map(|pair| LabelError::Duplicate(pair[0].0.to_owned()))
            }
        };
        let bytes = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        let problem = problem.or_else(|| (bytes > MAX_LABEL_BYTES).then_some(LabelError::TooLong(bytes)));
        match problem {
            Some(problem) => Err((problem, labels)),
            None => Ok(Self(concatenated(labels.into_iter().flat_map(|(name, value)| [name, value])).into())),
        }
    }

    /// As [`LabelSet::as_bytes`] gave them; `None` where they are something else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let labels = Self(bytes.into());
        let mut rest = bytes;
        let mut strings = 0;
        while !rest.is_empty() {
            str::from_utf8(split(&mut rest)?).ok()?;
            strings += 1;
        }
        (strings > 0 && strings % 2 == 0).then_some(labels)
    }

    /// For the log.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Names and values, sorted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = &*self.0;
        let mut next = move || str::from_utf8(split(&mut rest)?).ok();
        std::iter::from_fn(move || next().zip(next()))
    }

    /// The value of a label.
    pub(crate) fn get(&self, wanted: &str) -> Option<&str> {
        let mut rest = &*self.0;
        while let Some(name) = split(&mut rest) {
            let value = split(&mut rest)?;
            if name == wanted.as_bytes() {
                return str::from_utf8(value).ok();
            }
        }
        None
    }

    /// What an archive knows it by.
    pub(crate) fn identity(&self) -> Identity {
        let vm_key = match (self.get("vcenter"), self.get("vm_id")) {
            // 0 means "none", so the one hash in 2^64 that is 0 is moved.
            (Some(vcenter), Some(vm_id)) => xxh3_64(&concatenated([vcenter, vm_id].into_iter())).max(1),
            _ => 0,
        };
        Identity { series_id: xxh3_128(&self.0), vm_key }
    }
}

/// Strings one after the other, each behind its length.
pub(crate) fn concatenated<'a>(strings: impl Iterator<Item = &'a str> + Clone) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(strings.clone().map(|string| string.len() + 4).sum());
    for string in strings {
        // At most MAX_LABEL_BYTES.
        bytes.extend_from_slice(&(string.len() as u32).to_le_bytes());
        bytes.extend_from_slice(string.as_bytes());
    }
    bytes
}

/// Takes the first string off.
fn split<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (string, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(string)
}

/// `name{label="value"}`, as people write it.
pub(crate) fn display<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let (mut metric, mut rest) = ("", Vec::new());
    for (name, value) in labels {
        if name == METRIC_NAME { metric = value } else { rest.push(format!("{name}={value:?}")) }
    }
    // A refusal is a line in Prometheus' log.
    let mut text = format!("{metric}{{{}}}", rest.join(","));
    if text.len() > 300 {
        text.truncate(text.floor_char_boundary(300));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(pairs: &[(&str, &str)]) -> Result<Identity, LabelError> {
        LabelSet::of_pairs(pairs.to_vec()).map(|labels| labels.identity()).map_err(|(error, _)| error)
    }

    #[test]
    fn the_identity_never_changes() {
        // Written into two years of data: if this fails, the code is wrong, not the test. The numbers are what
        // ClickHouse's own functions xxh3_128 and xxh3 give for the same bytes.
        let identity = id(&[("__name__", "up"), ("vcenter", "vc"), ("vm_id", "42")]).unwrap();
        assert_eq!(identity.series_id, 272_260_575_651_732_164_721_908_563_824_637_836_243);
        assert_eq!(identity.vm_key, 4_732_821_639_882_020_163);
    }

    #[test]
    fn order_and_empty_values_do_not_matter() {
        let sorted = id(&[("a", "1"), ("b", "2")]);
        assert_eq!(id(&[("b", "2"), ("a", "1")]), sorted);
        assert_eq!(id(&[("b", "2"), ("c", ""), ("a", "1")]), sorted);
    }

    #[test]
    fn where_a_label_ends_matters() {
        assert_ne!(id(&[("a", "bc")]), id(&[("ab", "c")]));
        assert_ne!(id(&[("a", "b"), ("c", "d")]), id(&[("a", "bcd")]));
    }

    #[test]
    fn a_vm_needs_both_labels() {
        let key = |pairs| id(pairs).unwrap().vm_key;
        assert_eq!(key(&[("vcenter", "vc")]), 0);
        assert_eq!(key(&[("vm_id", "1")]), 0);
        let one = key(&[("vcenter", "vc"), ("vm_id", "1")]);
        assert_eq!(key(&[("__name__", "x"), ("vcenter", "vc"), ("vm_id", "1")]), one);
        assert_ne!(key(&[("vcenter", "vc"), ("vm_id", "2")]), one);
        assert_ne!(one, 0);
    }

    #[test]
    fn labels_that_name_no_series_are_refused() {
        assert_eq!(id(&[]), Err(LabelError::None));
        assert_eq!(id(&[("a", "")]), Err(LabelError::None));
        assert_eq!(id(&[("", "x"), ("a", "1")]), Err(LabelError::EmptyName));
        assert_eq!(id(&[("", "")]), Err(LabelError::EmptyName));
        assert_eq!(id(&[("a", "1"), ("a", "2")]), Err(LabelError::Duplicate("a".into())));
        let many: Vec<_> = (0..300).map(|i| format!("l{i}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "x")).collect();
        assert_eq!(id(&many), Err(LabelError::TooMany(300)));
        assert_eq!(id(&[("a", &"x".repeat(70_000))]), Err(LabelError::TooLong(70_001)));
    }

    #[test]
    fn bytes_are_read_back_and_others_are_not() {
        let labels = LabelSet::of_pairs(vec![("b", "2"), ("a", "1")]).unwrap();
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!(LabelSet::from_bytes(labels.as_bytes()), Some(labels.clone()));
        for cut in 0..labels.as_bytes().len() {
            let other = LabelSet::from_bytes(&labels.as_bytes()[..cut]);
            assert!(other.is_none_or(|other| other.iter().count() == 1), "{cut}");
        }
    }
}
