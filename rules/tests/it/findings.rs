//! What is printed about each file in `tests/check/`.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use lynceus_demo::repository;
use lynceus_rules::{Catalogue, check_paths};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_example_gives_its_findings() {
    let catalogue = Catalogue::read(&[repository().join("exporter/metrics.json")]).unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check");
    for folder in files(&examples) {
        for file in files(&folder) {
            let report = check_paths(std::slice::from_ref(&file), Some(&catalogue)).unwrap();
            let check = folder.file_name().unwrap().to_string_lossy().into_owned();
            let text = report.render(false).replace(&examples.display().to_string(), "check");
            assert!(text.contains(&format!("error[{check}]")), "{} has no finding of {check}", file.display());
            assert_snapshot!(format!("{check}__{}", file.file_stem().unwrap().to_string_lossy()), text);
        }
    }
}

#[test]
fn every_check_has_examples_and_a_page() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: PathBuf| -> Vec<_> {
        files(&folder).iter().map(|file| file.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    let checks = names(crate_folder.join("src/check"));
    assert_eq!(checks, names(crate_folder.join("tests/check")));
    assert_eq!(checks, names(repository().join("docs/checks")));
}
