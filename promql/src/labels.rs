//! The labels of a series.

use std::fmt;
use std::sync::Arc;

use crate::literal::quote;

/// Labels that say what a metric is rather than where it comes from; an operation that changes what a value means
/// drops them.
pub(crate) const METADATA: [&str; 3] = ["__name__", "__type__", "__unit__"];

/// Names and values, ordered by name, no value empty: a label without value is a label that is not there.
///
/// Cheap to clone. Ordered as Prometheus orders series.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// Of the same name the last one counts.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Labels {
        let mut pairs: Vec<(Arc<str>, Arc<str>)> = pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        pairs.reverse();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|a, b| a.0 == b.0);
        pairs.retain(|(_, value)| !value.is_empty());
        Labels(pairs.into())
    }

    /// The value, empty when there is none.
    pub fn get(&self, name: &str) -> &str {
        match self.0.binary_search_by(|(n, _)| n.as_ref().cmp(name)) {
            Ok(at) => &self.0[at].1,
            Err(_) => "",
        }
    }

    /// The metric's name, empty when there is none.
    pub fn metric_name(&self) -> &str {
        self.get("__name__")
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_ref(), v.as_ref()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn retain(&self, mut keep: impl FnMut(&str) -> bool) -> Labels {
        if self.0.iter().all(|(n, _)| keep(n)) {
            return self.clone();
        }
        Labels(self.0.iter().filter(|(n, _)| keep(n)).cloned().collect())
    }

    pub(crate) fn without_metadata(&self) -> Labels {
        self.retain(|name| !METADATA.contains(&name))
    }

    /// With another value of one label; an empty one takes it away.
    pub(crate) fn with(&self, name: &str, value: &str) -> Labels {
        let kept = self.0.iter().filter(|(n, _)| n.as_ref() != name).cloned();
        Labels::new(kept.chain([(Arc::from(name), Arc::from(value))]))
    }
}

/// As Prometheus' error messages write it: `{__name__="up", job="a"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if is_word {
                write!(f, "{separator}{name}={}", quote(value))?;
            } else {
                write!(f, "{separator}{}={}", quote(name), quote(value))?;
            }
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_is_no_label_and_the_last_of_a_name_counts() {
        let labels = Labels::new([("job", "a"), ("job", "b"), ("vm", ""), ("__name__", "up")]);
        assert_eq!(labels.to_string(), r#"{__name__="up", job="b"}"#);
        assert_eq!(labels.get("vm"), "");
        assert_eq!(labels.with("job", "").to_string(), r#"{__name__="up"}"#);
        assert_eq!(labels.without_metadata().to_string(), r#"{job="b"}"#);
    }
}
