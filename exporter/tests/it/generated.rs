//! Files that are printed from the catalogue. `INSTA_UPDATE=always cargo test -p lynceus-exporter` writes them anew.

use std::path::{Path, PathBuf};

use lynceus_exporter::catalogue;

const BEGIN: &str = "<!-- metrics: generated from exporter/src/catalogue -->\n";
const END: &str = "<!-- end of metrics -->\n";

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn check(path: &str, expected: &str) {
    let file = in_repository(path);
    if std::env::var("INSTA_UPDATE").is_ok_and(|value| value == "always") {
        std::fs::write(&file, expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap();
    assert!(found == expected, "{path} is out of date: INSTA_UPDATE=always cargo test -p lynceus-exporter generated");
}

#[test]
fn the_catalogue_file_is_what_the_code_does() {
    check("exporter/metrics.json", &catalogue::json().unwrap());
}

#[test]
fn the_tables_in_the_documentation_are_what_the_code_does() {
    let text = std::fs::read_to_string(in_repository("docs/metrics.md")).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("docs/metrics.md has a marker where the tables begin");
    let (_, after) = rest.split_once(END).expect("docs/metrics.md has a marker where the tables end");
    check("docs/metrics.md", &[before, BEGIN, "\n", &catalogue::markdown(), "\n", END, after].concat());
}
