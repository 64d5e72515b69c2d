//! Properties that are computed when they are asked for.
//!
//! The code that describes a data object is written once, field by field. Asked for the whole it makes all fields; asked
//! for `runtime.host` it makes that one only, which is what lets 5,000 VMs answer fourteen leaf paths in milliseconds.

use crate::soap::{Record, Value, record};

/// What is asked of a value: the whole, or a dotted path into it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<'p>(pub(crate) &'p str);

/// The fields of a data object, made as far as they are asked for.
pub(crate) struct Fields<'p> {
    wanted: Option<(&'p str, Path<'p>)>,
    record: Record,
    value: Option<Value>,
}

impl<'p> Path<'p> {
    /// A data object of this type (`""` for the declared one), or what the path leads to in it.
    pub(crate) fn record(self, kind: &'static str, describe: impl FnOnce(&mut Fields<'p>)) -> Option<Value> {
        let wanted = match self.0.split_once('.') {
            _ if self.0.is_empty() => None,
            Some((first, rest)) => Some((first, Path(rest))),
            None => Some((self.0, Path(""))),
        };
        let mut fields = Fields { wanted, record: record(kind), value: None };
        describe(&mut fields);
        if wanted.is_some() { fields.value } else { Some(fields.record.into()) }
    }
}

impl<'p> Fields<'p> {
    /// A field with a value.
    pub(crate) fn set<T: Into<Value>>(&mut self, name: &'static str, value: impl FnOnce() -> T) {
        self.maybe(name, || Some(value()));
    }

    /// A field that may be unset.
    pub(crate) fn maybe<T: Into<Value>>(&mut self, name: &'static str, value: impl FnOnce() -> Option<T>) {
        self.nest(name, |path| dig(value()?.into(), path));
    }

    /// A field that is itself computed as far as it is asked for.
    pub(crate) fn nest(&mut self, name: &'static str, value: impl FnOnce(Path<'p>) -> Option<Value>) {
        match self.wanted {
            None => {
                if let Some(value) = value(Path("")) {
                    self.record.fields.push((name, value));
                }
            }
            Some((first, rest)) if first == name => self.value = value(rest),
            Some(_) => {}
        }
    }

    /// Takes over the fields of another description, such as a base type's.
    pub(crate) fn and(&mut self, describe: impl FnOnce(&mut Self)) {
        describe(self);
    }
}

/// A data object that is there as a whole, or what the path leads to in it.
pub(crate) fn whole(record: Record, path: Path<'_>) -> Option<Value> {
    dig(record.into(), path)
}

/// What a path leads to in a finished value.
fn dig(value: Value, path: Path<'_>) -> Option<Value> {
    if path.0.is_empty() {
        return Some(value);
    }
    let (first, rest) = path.0.split_once('.').unwrap_or((path.0, ""));
    let Value::Record(record) = value else { return None };
    let (_, found) = record.fields.into_iter().find(|(name, _)| *name == first)?;
    dig(found, Path(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(path: &str) -> Option<Value> {
        Path(path).record("", |f| {
            f.set("name", || "a");
            f.nest("runtime", |path| path.record("", |f| f.set("host", || "h")));
            f.set("made", || record("").with("deep", 1));
            f.maybe("unset", || None::<i32>);
            f.set("costly", || -> i32 {
                assert!(path.is_empty() || path == "costly", "made without being asked for");
                7
            });
        })
    }

    #[test]
    fn a_path_makes_only_what_it_leads_to() {
        assert_eq!(describe("name"), Some(Value::from("a")));
        assert_eq!(describe("runtime.host"), Some(Value::from("h")));
        assert_eq!(describe("made.deep"), Some(Value::from(1)));
        assert_eq!(describe("costly"), Some(Value::from(7)));
        for path in ["unset", "nosuch", "name.x", "runtime.nosuch"] {
            assert_eq!(describe(path), None, "{path}");
        }
    }

    #[test]
    fn the_whole_has_all_that_is_set() {
        let Some(Value::Record(whole)) = describe("") else { panic!("no record") };
        let names: Vec<_> = whole.fields.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["name", "runtime", "made", "costly"]);
    }
}
