//! Mail servers that refuse, delay, or want to be spoken to properly.

use std::path::{Path, PathBuf};

use lynceus_demo::{eventually, tool};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::harness::{LIMIT, Setup, config_of, notification, start};

#[tokio::test]
async fn a_retry_reaches_only_those_who_have_not_got_it() {
    let setup =
        start("tls: none", "{ default: [ops@example.net], teams: { red: [red@example.net, later@example.net] } }");
    let setup = setup.await.unwrap();
    let Some(_server) = setup.mail_server(&[]).await.unwrap() else { return };
    let (status, text) = setup.post(notification(&["red"])).await.unwrap();
    assert_eq!(status, 503);
    assert_eq!(
        text,
        format!(
            "1 of 2 mails not handed over: mail server `127.0.0.1:{}` does not take the mail now: \
             451 4.3.0 come again later\n",
            setup.smtp_port
        )
    );
    std::fs::write(setup.path().join("now"), "").unwrap();
    assert_eq!(setup.post(notification(&["red"])).await.unwrap(), (200, "2 mails handed over\n".to_owned()));
    assert_eq!(setup.recipients().unwrap(), ["later@example.net", "red@example.net"]);
    assert_eq!(setup.metric("mails_spared_total").await.unwrap(), 1.0);
}

#[tokio::test]
async fn an_address_refused_for_good_does_not_keep_the_others_waiting() {
    let setup = start(
        "tls: none",
        "{ default: [ops@example.net], teams: { red: [refused-red@example.net, red@example.net] } }",
    );
    let setup = setup.await.unwrap();
    let Some(_server) = setup.mail_server(&[]).await.unwrap() else { return };
    assert_eq!(setup.post(notification(&["red"])).await.unwrap().0, 200);
    assert_eq!(setup.recipients().unwrap(), ["red@example.net"]);
    assert_eq!(setup.metric("mails_failed_total{reason=\"recipient_refused\"}").await.unwrap(), 1.0);
    let log = setup.notifier.log();
    assert!(log.contains("mail refused for good"), "{log}");
    assert!(log.contains("<r***@example.net>: no such user here"), "{log}");
    assert!(!log.contains("refused-red@"), "{log}");
}

#[tokio::test]
async fn an_alert_whose_recipients_are_all_refused_goes_to_the_default_ones() {
    let setup = start("tls: none", "{ default: [ops@example.net], teams: { red: [refused@example.net] } }");
    let setup = setup.await.unwrap();
    let Some(_server) = setup.mail_server(&[]).await.unwrap() else { return };
    assert_eq!(setup.post(notification(&["red", "blue"])).await.unwrap().0, 200);
    // One mail for blue, which has no list, and one for red that says why it came.
    assert_eq!(setup.recipients().unwrap(), ["ops@example.net", "ops@example.net"]);
    let mails = setup.mails().unwrap();
    let fallback: Vec<_> = mails.iter().filter(|mail| mail.contains("Team: red")).collect();
    assert_eq!(fallback.len(), 1);
    assert!(fallback[0].contains("The mail server refuses the addresses of the team"), "{}", fallback[0]);
    assert_eq!(setup.metric("fallback_alerts_total").await.unwrap(), 1.0);
}

#[tokio::test]
async fn an_alert_that_nobody_can_get_stays_with_alertmanager() {
    let setup = start("tls: none", "{ default: [refused@example.net] }").await.unwrap();
    let Some(_server) = setup.mail_server(&[]).await.unwrap() else { return };
    assert_eq!(setup.post(notification(&["red"])).await.unwrap().0, 503);
}

/// The mail server has the mail to slow@ and lets its answer wait.
async fn slow_mail_is_begun(setup: &Setup) -> anyhow::Result<()> {
    let file = setup.path().join("slow");
    eventually(LIMIT, "the slow mail", || async { Ok(std::fs::metadata(&file).map(drop)?) }).await
}

#[tokio::test]
async fn a_caller_that_hangs_up_ends_nothing_and_its_next_try_is_answered_from_memory() {
    let setup = start("tls: none", "{ default: [slow@example.net] }").await.unwrap();
    let Some(_server) = setup.mail_server(&[]).await.unwrap() else { return };
    tokio::select! {
        answer = setup.post(notification(&["red"])) => panic!("answered before the mail server did: {answer:?}"),
        begun = slow_mail_is_begun(&setup) => begun.unwrap(),
    }
    assert_eq!(setup.post(notification(&["red"])).await.unwrap().0, 200);
    assert_eq!(setup.recipients().unwrap(), ["slow@example.net"]);
}

#[tokio::test]
async fn a_stop_waits_for_the_mail_in_work() {
    let mut setup = start("tls: none", "{ default: [slow@example.net] }").await.unwrap();
    let Some(_server) = setup.mail_server(&[]).await.unwrap() else { return };
    let url = format!("{}/alertmanager/webhook", setup.url);
    let request = reqwest::Client::new().post(url).header("content-type", "application/json");
    let request = tokio::spawn(request.body(notification(&["red"])).send());
    slow_mail_is_begun(&setup).await.unwrap();
    let status = setup.notifier.terminate(LIMIT).await.unwrap();
    assert!(status.success(), "{}", setup.notifier.log());
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
    assert_eq!(setup.recipients().unwrap(), ["slow@example.net"]);
}

#[tokio::test]
async fn a_reload_changes_the_recipients() {
    let setup = start("tls: none", "").await.unwrap();
    let Some(_server) = setup.mail_server(&[]).await.unwrap() else { return };
    let config = config_of(setup.smtp_port, "tls: none", "{ default: [new@example.net] }");
    std::fs::write(setup.path().join("notifier.yml"), config).unwrap();
    let answer = reqwest::Client::new().post(format!("{}/-/reload", setup.url)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(setup.post(notification(&["red"])).await.unwrap().0, 200);
    assert_eq!(setup.recipients().unwrap(), ["new@example.net"]);
}

const SIGN_IN: &str = "username: lynceus, password_env: TEST_SMTP_PASSWORD";

/// Writes a certificate for 127.0.0.1 and its key; gives the file for the server and that for the client.
fn certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (server, authority) = (dir.join("server.pem"), dir.join("ca.pem"));
    std::fs::write(&server, made.signing_key.serialize_pem() + &made.cert.pem()).unwrap();
    std::fs::write(&authority, made.cert.pem()).unwrap();
    (server, authority)
}

/// The answer to a notification, with STARTTLS and a sign-in demanded by the server.
async fn check_secure(smtp: &str, user: &str, status: u16, text: &str) {
    if tool("python").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (server, authority) = certificate(folder.path());
    let setup = start(&smtp.replace("CA", &format!("ca_file: '{}'", authority.display())), "").await.unwrap();
    let arguments = ["--certificate", server.to_str().unwrap(), "--user", user];
    let Some(_server) = setup.mail_server(&arguments).await.unwrap() else { return };
    let answer = setup.post(notification(&["red"])).await.unwrap();
    let text = text.replace("PORT", &setup.smtp_port.to_string());
    assert_eq!(answer, (status, format!("{text}\n")));
    assert_eq!(setup.recipients().unwrap().len(), usize::from(status == 200));
    assert!(!setup.notifier.log().contains("mail-password"));
}

#[tokio::test]
async fn starttls_and_a_password_from_the_environment_are_used() {
    check_secure(&format!("CA, {SIGN_IN}"), "lynceus:mail-password", 200, "1 mails handed over").await;
}

#[tokio::test]
async fn a_wrong_password_is_named_as_such() {
    check_secure(
        &format!("CA, {SIGN_IN}"),
        "lynceus:other",
        503,
        "1 of 1 mails not handed over: failed to sign in at mail server `127.0.0.1:PORT` (smtp.username, smtp.password): \
         535 5.7.8 Authentication credentials invalid",
    )
    .await;
}

#[tokio::test]
async fn an_untrusted_certificate_is_named_as_such() {
    check_secure(
        SIGN_IN,
        "lynceus:mail-password",
        503,
        "1 of 1 mails not handed over: no TLS connection to mail server `127.0.0.1:PORT` (smtp.tls, smtp.ca_file): \
         invalid peer certificate: UnknownIssuer",
    )
    .await;
}

#[tokio::test]
async fn a_server_without_starttls_gets_no_mail() {
    let setup = start("timeout: 5s", "").await.unwrap();
    let Some(_server) = setup.mail_server(&[]).await.unwrap() else { return };
    let (status, text) = setup.post(notification(&["red"])).await.unwrap();
    assert_eq!(status, 503);
    assert!(text.contains("STARTTLS is not supported on this server"), "{text}");
    assert_eq!(setup.recipients().unwrap().len(), 0);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let setup = start("tls: none, timeout: 1s", "").await.unwrap();
    let _silent = tokio::net::TcpListener::bind(("127.0.0.1", setup.smtp_port)).await.unwrap();
    let (status, text) = setup.post(notification(&["red"])).await.unwrap();
    assert_eq!(status, 503);
    assert!(text.ends_with("took longer than 1s (smtp.timeout)\n"), "{text}");
    let kept = eventually(LIMIT, "the metric", || setup.metric("mails_failed_total{reason=\"timeout\"}")).await;
    assert_eq!(kept.unwrap(), 1.0);
}

/// A mail server that answers each command with the next reply, and then hangs up. Gives what Alertmanager is told.
async fn answer_to(replies: &'static [&'static str]) -> String {
    let setup = start("tls: none", "{ default: [ops@example.net] }").await.unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", setup.smtp_port)).await.unwrap();
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut commands = BufReader::new(read).lines();
        for reply in replies {
            write.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
            let mut command = commands.next_line().await.unwrap();
            // The content ends with a line that is a dot.
            while reply.starts_with("354") && command.as_deref() != Some(".") {
                command = commands.next_line().await.unwrap();
            }
        }
    };
    let (answer, ()) = tokio::join!(setup.post(notification(&["red"])), server);
    let (status, text) = answer.unwrap();
    assert_eq!(status, 503);
    text.replace(&setup.smtp_port.to_string(), "PORT")
}

#[tokio::test]
async fn a_server_that_hangs_up_is_named_as_such() {
    assert_eq!(
        answer_to(&["220 hello", "250 hello"]).await,
        "1 of 1 mails not handed over: mail server `127.0.0.1:PORT` does not take the mail now: incomplete response\n"
    );
}

#[tokio::test]
async fn a_refused_sender_is_a_matter_of_the_config_not_of_the_recipient() {
    assert_eq!(
        answer_to(&["220 hello", "250 hello", "550 5.7.1 not <lynceus@example.net>"]).await,
        "1 of 1 mails not handed over: mail server `127.0.0.1:PORT` refuses the sender `l***@example.net` (smtp.from): \
         550 5.7.1 not <l***@example.net>\n"
    );
}

#[tokio::test]
async fn refused_content_is_told_with_the_servers_reason() {
    assert_eq!(
        answer_to(&["220 hello", "250 hello", "250 ok", "250 ok", "354 go on", "552 5.2.2 mailbox full"]).await,
        "1 of 1 mails not handed over: mail server `127.0.0.1:PORT` refuses the mail: 552 5.2.2 mailbox full\n"
    );
}
