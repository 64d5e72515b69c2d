//! Ids of performance counters. They differ from vCenter to vCenter, so they are looked up by name.

use std::collections::HashMap;

use super::xml::{Xml, XmlError};
use crate::catalogue::Counter;

/// The counters that a vCenter knows: `group.name.rollup` to id and unit.
#[derive(Debug, Clone, Default)]
pub struct CounterIds(HashMap<String, (i32, String)>);

impl CounterIds {
    /// The ids of these counters by their place in the list. Those that the vCenter lacks or measures in another unit
    /// are left out: their numbers would be wrong.
    pub fn resolve(&self, counters: &[Counter]) -> Vec<(usize, i32)> {
        let id = |counter: &Counter| {
            let (id, unit) = self.0.get(counter.name)?;
            (unit == counter.unit.key()).then_some(*id)
        };
        counters.iter().enumerate().filter_map(|(place, counter)| Some((place, id(counter)?))).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads the answer to the property `perfCounter` of the PerformanceManager.
pub fn decode_counters(mut xml: Xml<'_>) -> Result<CounterIds, XmlError> {
    let mut counters = CounterIds::default();
    xml.expect("returnval")?;
    while let Some(objects) = xml.child()? {
        if objects.name() != "objects" {
            xml.skip()?;
            continue;
        }
        while let Some(prop_set) = xml.child()? {
            if prop_set.name() != "propSet" {
                xml.skip()?;
                continue;
            }
            while let Some(val) = xml.child()? {
                if val.name() != "val" {
                    xml.skip()?;
                    continue;
                }
                while let Some(info) = xml.child()? {
                    if info.name() != "PerfCounterInfo" {
                        xml.skip()?;
                    } else if let Some((name, id, unit)) = counter(&mut xml)? {
                        counters.0.insert(name, (id, unit));
                    }
                }
            }
        }
    }
    Ok(counters)
}

fn counter(xml: &mut Xml<'_>) -> Result<Option<(String, i32, String)>, XmlError> {
    let (mut id, mut name, mut group, mut unit, mut rollup) = (None, None, None, None, None);
    while let Some(element) = xml.child()? {
        match element.name() {
            "key" => id = Some(xml.parse(&element, "a whole number")?),
            "nameInfo" => name = key(xml)?,
            "groupInfo" => group = key(xml)?,
            "unitInfo" => unit = key(xml)?,
            "rollupType" => rollup = Some(xml.text()?.into_owned()),
            _ => xml.skip()?,
        }
    }
    let parts = (id, name, group, unit, rollup);
    let (Some(id), Some(name), Some(group), Some(unit), Some(rollup)) = parts else { return Ok(None) };
    Ok(Some((format!("{group}.{name}.{rollup}"), id, unit)))
}

fn key(xml: &mut Xml<'_>) -> Result<Option<String>, XmlError> {
    let mut key = None;
    while let Some(element) = xml.child()? {
        if element.name() == "key" { key = Some(xml.text()?.into_owned()) } else { xml.skip()? }
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::CounterUnit;

    const ANSWER: &str = r#"<R><returnval><objects><obj type="PerformanceManager">PerfMgr</obj><propSet>
        <name>perfCounter</name><val>
        <PerfCounterInfo><key>2</key><nameInfo><label>Usage</label><key>usage</key></nameInfo>
        <groupInfo><key>cpu</key></groupInfo><unitInfo><key>percent</key></unitInfo>
        <rollupType>average</rollupType><statsType>rate</statsType></PerfCounterInfo>
        <PerfCounterInfo><key>98</key><nameInfo><key>consumed</key></nameInfo><groupInfo><key>mem</key></groupInfo>
        <unitInfo><key>megaBytes</key></unitInfo><rollupType>average</rollupType></PerfCounterInfo>
        </val></propSet></objects></returnval></R>"#;

    fn resolve(name: &'static str, unit: CounterUnit) -> Vec<(usize, i32)> {
        let mut xml = Xml::new(ANSWER);
        xml.expect("R").unwrap();
        decode_counters(xml).unwrap().resolve(&[Counter { name, unit, by_instance: false }])
    }

    #[test]
    fn a_counter_is_found_by_group_name_and_rollup() {
        assert_eq!(resolve("cpu.usage.average", CounterUnit::Percent), [(0, 2)]);
        assert_eq!(resolve("cpu.usage.maximum", CounterUnit::Percent), []);
    }

    #[test]
    fn a_counter_in_another_unit_is_not_used() {
        assert_eq!(resolve("mem.consumed.average", CounterUnit::KiloBytes), []);
    }
}
