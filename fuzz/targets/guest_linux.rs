//! What a Linux guest prints: any text between the marks, twice, and the page that is made of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lynceus_exporter::exposition::End;
use lynceus_exporter::guest::linux::{Memory, families};
use lynceus_exporter::guest::reading::{Reading, text};

fuzz_target!(|bytes: &[u8]| {
    // Without the marks, as a guest may answer too.
    drop(Reading::of(&text(bytes), "m"));
    let mut memory = Memory::default();
    for half in [bytes, &bytes[bytes.len() / 2..]] {
        let marked = [b"m begin\n", half, b"\nm end\n"].concat();
        let text = text(&marked);
        let reading = Reading::of(&text, "m").expect("both marks are there");
        let page = families(&reading, &mut memory).0.page().finish(&End::default());
        let text = page.text();
        assert_eq!((text.len(), text.lines().filter(|line| !line.starts_with('#')).count()), (page.length, page.series));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            value.parse::<f64>().expect("a number");
            let name = series.split('{').next().unwrap_or_default();
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
        }
    }
});
