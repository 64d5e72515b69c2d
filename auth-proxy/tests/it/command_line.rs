//! `lynceus-auth-proxy user`, as an administrator types it.

use std::path::Path;

use crate::world::{PASSWORD, run};

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config =
        "public_url: http://127.0.0.1:8080\ndatabase: {path: auth.sqlite}\nprometheus: {url: 'http://127.0.0.1:9'}\n";
    std::fs::write(dir.path().join("auth-proxy.yml"), config).unwrap();
    dir
}

/// What a command prints, and its exit code.
#[track_caller]
fn check(dir: &Path, arguments: &[&str], input: &str, code: i32, expected: &str) {
    let output = run(dir, arguments, input);
    let printed = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), printed.as_str()), (Some(code), expected), "{arguments:?}");
}

#[test]
fn users_are_added_listed_and_deleted() {
    let dir = folder();
    let dir = dir.path();
    check(dir, &["user", "add", "Alice", "--team=red", "--team", "blue", "--team=red"], PASSWORD, 0, "added alice\n");
    check(dir, &["user", "add", "petra", "--platform", "--config.file=auth-proxy.yml"], PASSWORD, 0, "added petra\n");
    let file = dir.join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let note = "added carol, who sees nothing without --team or --platform\n";
    check(dir, &["user", "add", "carol", "--password-file", file.to_str().unwrap()], "", 0, note);
    let list = "alice                    blue, red\n\
                carol                    nothing\n\
                petra                    everything (platform)\n";
    check(dir, &["user", "list"], "", 0, list);
    check(dir, &["user", "delete", "carol"], "", 0, "deleted carol\n");
    check(dir, &["user", "delete", "carol"], "", 1, "user `carol` does not exist; `user list` shows those that do\n");
    check(
        dir,
        &["user", "add", "alice", "--team=red"],
        PASSWORD,
        1,
        "user `alice` exists already; `user passwd` sets a new password\n",
    );
    check(dir, &["user", "passwd", "alice"], PASSWORD, 0, "set the password of alice and ended their sessions\n");
    check(
        dir,
        &["user", "passwd", "carol"],
        PASSWORD,
        1,
        "user `carol` does not exist; `user list` shows those that do\n",
    );
}

#[test]
fn bad_names_teams_and_passwords_are_refused_with_the_reason() {
    let dir = folder();
    let dir = dir.path();
    let add = |rest: &[&'static str]| [&["user", "add"], rest].concat();
    check(
        dir,
        &add(&["a b", "--team=red"]),
        PASSWORD,
        1,
        "expected a name of 1 to 64 small letters, digits and `.`, `_`, `-`, `@`, a letter or digit first, found `a b`\n",
    );
    check(
        dir,
        &add(&["alice", "--team="]),
        PASSWORD,
        1,
        "expected a team of 1 to 64 bytes without blanks around it, found ``\n",
    );
    let short = "expected a password of 12 characters or more, found 5\n";
    check(dir, &add(&["alice", "--team=red"]), "Abc-1\n", 1, short);
    check(dir, &add(&["alice", "--team=red"]), "", 1, "expected a password of 12 characters or more, found 0\n");
    let long = "expected a password of at most 71 bytes, found 80; bcrypt would ignore the rest of it\n";
    check(dir, &add(&["alice", "--team=red"]), &"Abc-".repeat(20), 1, long);
    check(dir, &["user", "list"], "", 0, "");
    let missing = "other.yml: No such file or directory (os error 2); name it with `--config.file`\n";
    check(dir, &["user", "list", "--config.file=other.yml"], "", 1, missing);
}

#[test]
fn the_config_is_checked_without_starting() {
    let dir = folder();
    check(dir.path(), &["--config.file=auth-proxy.yml", "--check-config"], "", 0, "auth-proxy.yml: valid\n");
    assert!(!dir.path().join("auth.sqlite").exists());
    std::fs::write(dir.path().join("auth-proxy.yml"), "public_url: x\n").unwrap();
    let output = run(dir.path(), &["--check-config"], "");
    assert_eq!(output.status.code(), Some(2));
}
