//! The command itself: exit codes, and what it says when it cannot work.

use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;

/// Exit code, output, errors.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus-rules"));
    let output = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn no_findings_end_with_0() {
    let (code, out, _) = run(&["check", "packs"]);
    assert_eq!((code, out.as_str()), (0, "2 files, 13 rules: no findings\n"));
}

#[test]
fn findings_end_with_1() {
    let (code, out, _) = run(&["check", "tests/check/promql/type.yml"]);
    assert_eq!(code, 1);
    assert!(out.contains("--> tests/check/promql/type.yml:5:15\n"), "{out}");
    assert!(out.ends_with("1 file, 2 rules: 2 findings\n"), "{out}");
}

fn check_failure(arguments: &[&str], expected: &str) {
    let (code, out, error) = run(arguments);
    assert_eq!((code, out.as_str(), error.as_str()), (2, "", format!("lynceus-rules: {expected}\n").as_str()));
}

#[test]
fn what_cannot_be_read_ends_with_2() {
    check_failure(&["check", "no/such.yml"], "failed to read `no/such.yml`: No such file or directory (os error 2)");
    check_failure(
        &["check", "--catalogue", "no.json", "packs"],
        "failed to read the catalogue `no.json`: No such file or directory (os error 2)",
    );
    check_failure(
        &["check", "--catalogue", "Cargo.toml", "packs"],
        "`Cargo.toml`: expected a catalogue, JSON with `metrics`, each with `name` and `type`: \
         expected value at line 1 column 2",
    );
    check_failure(&["check", "src"], "`src`: expected rule files (`*.yml`, `*.yaml`), found none");
    assert_eq!(run(&["check"]).0, 2);
}

#[test]
fn a_file_that_is_named_is_checked_wherever_it_is() {
    let named = Path::new("packs/vsphere/tests/recording.yml");
    let (code, out, _) = run(&["check", named.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(out.contains("unknown field `rule_files`"), "{out}");
}

#[test]
fn the_help_shows_examples() {
    assert_snapshot!(run(&["check", "--help"]).1);
}
