//! The report names what grew, and where it comes from.

use std::process::Command;

use crate::support::{Archive, has_tools, now};
use crate::wire::series;

#[tokio::test]
async fn the_report_names_the_label_that_grew_and_its_job() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let month = |text: &str| format!("{text}-15T12:00:00Z").parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let date = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_millisecond(now()).unwrap()).date();
    let this = date.first_of_month().yesterday().unwrap().strftime("%Y-%m").to_string();
    let before = date.first_of_month().yesterday().unwrap().first_of_month().yesterday().unwrap();
    let of = |time: i64, job: &str, session: &str| {
        series(&[("__name__", "logins"), ("job", job), ("session", session)], &[(time, 1.)])
    };
    let t = month(&before.strftime("%Y-%m").to_string());
    let mut written = vec![of(t, "shop", "0"), of(t, "node", "0")];
    written.extend((0..30).map(|i| of(month(&this), "shop", &i.to_string())));
    written.push(of(month(&this), "node", "0"));
    archive.store(&written).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus-bridge"));
    command.arg("cardinality").arg("--config.file").arg(archive.dir.path().join("bridge.yml"));
    let output = command.args(["--month", &this]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let has = |line: &str| text.lines().any(|found| found.split_whitespace().collect::<Vec<_>>().join(" ") == line);
    for line in ["31 +29 all", "30 +29 shop", "1 +0 node", "31 +29 logins", "31 +29 session (30 of job shop)"] {
        assert!(has(line), "{line} in\n{text}");
    }
    assert!(text.contains(" samples\n") && text.contains("bytes each"), "{text}");
}
