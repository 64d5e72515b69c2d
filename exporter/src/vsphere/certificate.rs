//! When a server's certificate ends.
//!
//! By hand: an X.509 library brings a dozen crates for one field, and what is read here has passed rustls before.

use jiff::civil::DateTime;
use jiff::tz::Offset;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version stands before the serial number, except for the first one.
const VERSION: u8 = 0xa0;

/// The end of a certificate in DER, in Unix milliseconds. `None` where it is no certificate, or does not say.
pub(super) fn end(der: &[u8]) -> Option<i64> {
    let mut signed = Der(Der(der).value(SEQUENCE)?).value(SEQUENCE).map(Der)?;
    if signed.0.first() == Some(&VERSION) {
        signed.value(VERSION)?;
    }
    let _serial_number = signed.value(INTEGER)?;
    let _signature_algorithm = signed.value(SEQUENCE)?;
    let _issuer = signed.value(SEQUENCE)?;
    let mut validity = Der(signed.value(SEQUENCE)?);
    let _not_before = validity.next()?;
    let (kind, text) = validity.next()?;
    time(kind, std::str::from_utf8(text).ok()?)
}

/// What is left to read.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element: its tag and its value.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, length], mut rest) = self.0.split_first_chunk::<2>()?;
        let mut length = usize::from(length);
        // The long form has the number of the bytes that follow; four of them are more than any certificate has.
        if let Some(bytes) = length.checked_sub(0x80) {
            let (digits, after) = rest.split_at_checked(bytes).filter(|_| (1..=4).contains(&bytes))?;
            length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            rest = after;
        }
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    /// The value of the next element, which has to have this tag.
    fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }
}

/// `YYMMDDhhmmssZ` until 2049, `YYYYMMDDhhmmssZ` from then on: RFC 5280 allows no other form.
fn time(kind: u8, text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
    let (year, rest) = match kind {
        UTC_TIME if digits.len() == 12 => {
            let year: i16 = digits[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        GENERALIZED_TIME if digits.len() == 14 => (digits[..4].parse().ok()?, &digits[4..]),
        _ => return None,
    };
    let part = |place: usize| rest[2 * place..2 * place + 2].parse::<i8>().ok();
    let date = DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, 0).ok()?;
    Some(Offset::UTC.to_timestamp(date).ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["vc01.example.net".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 3, 4);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn check(year: i32, expected: &str) {
        let end = end(&certificate(year)).map(|end| jiff::Timestamp::from_millisecond(end).unwrap().to_string());
        assert_eq!(end.as_deref(), Some(expected));
    }

    #[test]
    fn the_end_is_found_in_both_forms_of_time() {
        check(2027, "2027-03-04T00:00:00Z");
        check(2049, "2049-03-04T00:00:00Z");
        check(2050, "2050-03-04T00:00:00Z");
        assert_eq!(time(UTC_TIME, "991231235959Z"), time(GENERALIZED_TIME, "19991231235959Z"));
    }

    #[test]
    fn a_time_that_is_none_is_not_known() {
        for text in ["", "Z", "271304000000Z", "2703040000Z", "270304000000", "27030400000-Z", "27030400000äZ"] {
            assert_eq!(time(UTC_TIME, text), None, "{text}");
        }
        assert_eq!(time(GENERALIZED_TIME, "99991231235959Z"), None, "the end that means that there is none");
    }

    #[test]
    fn a_damaged_certificate_has_no_end_or_another_and_harms_nobody() {
        let good = certificate(2027);
        for cut in 0..good.len() {
            assert_eq!(end(&good[..cut]), None, "cut after {cut} bytes");
        }
        for place in 0..good.len() {
            for value in [0, 0x80, 0x84, 0xff] {
                let mut bad = good.clone();
                bad[place] = value;
                let _no_panic = end(&bad);
            }
        }
    }
}
