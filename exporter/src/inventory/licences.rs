//! Licences, without their keys.

use serde::{Deserialize, Serialize};

use crate::vsphere::Value;

/// A licence, or several of one name and edition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the labels and metrics")]
pub struct Licence {
    pub name: String,
    pub edition: String,
    /// `None` where it has no limit.
    pub capacity: Option<u64>,
    pub used: Option<u64>,
    /// In Unix milliseconds: of several, the first.
    pub end: Option<i64>,
}

impl Licence {
    /// From a `LicenseManagerLicenseInfo`, all but the key.
    pub fn of(info: &Value) -> Option<Self> {
        let properties = info.all("properties");
        let mut ends = properties.filter(|property| property.text_at("key") == Some("expirationDate"));
        let end = ends.find_map(|property| property.parse_at::<jiff::Timestamp>("value"));
        Some(Self {
            name: info.text_at("name")?.to_owned(),
            edition: info.text_at("editionKey").unwrap_or_default().to_owned(),
            // 0 is what the evaluation licence has, which is not limited.
            capacity: info.parse_at("total").filter(|total| *total > 0),
            used: info.parse_at("used"),
            end: end.map(|end| end.as_millisecond()),
        })
    }

    /// Those that would have the same labels as one. Where one of them has no limit, they have none.
    pub fn summed_up(licences: Vec<Self>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for licence in licences {
            let same = |other: &&mut Self| (&other.name, &other.edition) == (&licence.name, &licence.edition);
            match all.iter_mut().find(same) {
                Some(sum) => {
                    sum.capacity = sum.capacity.zip(licence.capacity).map(|(a, b)| a.saturating_add(b));
                    sum.used = sum.used.zip(licence.used).map(|(a, b)| a.saturating_add(b));
                    sum.end = sum.end.into_iter().chain(licence.end).min();
                }
                None => all.push(licence),
            }
        }
        all.sort_by(|a, b| (&a.name, &a.edition).cmp(&(&b.name, &b.edition)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vsphere::{Xml, decode_objects};

    const ANSWER: &str = r#"<R><returnval><objects><obj type="LicenseManager">LicenseManager</obj>
        <propSet><name>licenses</name><val>
        <LicenseManagerLicenseInfo><licenseKey>AAAAA-1</licenseKey><editionKey>esx.e</editionKey><name>vSphere 8</name>
          <total>16</total><used>4</used><costUnit>cpu</costUnit>
          <properties><key>ProductName</key><value>x</value></properties>
          <properties><key>expirationDate</key><value>2027-01-01T00:00:00Z</value></properties></LicenseManagerLicenseInfo>
        <LicenseManagerLicenseInfo><licenseKey>AAAAA-2</licenseKey><editionKey>esx.e</editionKey><name>vSphere 8</name>
          <total>8</total><used>8</used>
          <properties><key>expirationDate</key><value>2026-06-01T00:00:00Z</value></properties></LicenseManagerLicenseInfo>
        <LicenseManagerLicenseInfo><licenseKey>00000</licenseKey><editionKey>eval</editionKey><name>Evaluation</name>
          <total>0</total></LicenseManagerLicenseInfo></val></propSet></objects></returnval></R>"#;

    #[test]
    fn licences_of_one_name_are_summed_up_and_keys_are_dropped() {
        let mut xml = Xml::new(ANSWER);
        xml.expect("R").unwrap();
        let objects = decode_objects(xml).unwrap().objects;
        let fields = objects[0].get("licenses").unwrap().fields();
        let found = Licence::summed_up(fields.iter().filter_map(|field| Licence::of(&field.value)).collect());
        let end = "2026-06-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let licence = |name: &str, edition: &str| Licence {
            name: name.to_owned(),
            edition: edition.to_owned(),
            ..Licence::default()
        };
        let sum = Licence { capacity: Some(24), used: Some(12), end: Some(end), ..licence("vSphere 8", "esx.e") };
        assert_eq!(found, [licence("Evaluation", "eval"), sum]);
        assert!(!format!("{found:?}").contains("AAAAA"));
    }
}
