//! Signing in and out, and what a session is worth.

use std::time::{Duration, Instant};

use axum::http::Method;
use reqwest::header::{LOCATION, SET_COOKIE};
use serde_json::Value;

use crate::world::{ALICE, BOTH, PASSWORD, PETRA, Proxy, run};

/// Where nothing is forwarded, nothing listens.
const NO_PROMETHEUS: &str = "http://127.0.0.1:9";

async fn whoami(browser: &crate::world::Browser) -> Option<Value> {
    let answer = browser.get("/auth/whoami").await;
    match answer.status().as_u16() {
        200 => Some(answer.json().await.unwrap()),
        401 => None,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_session_lasts_from_sign_in_to_sign_out() {
    let proxy = Proxy::start(NO_PROMETHEUS, "", &[ALICE, BOTH, PETRA]).await;
    let mut browser = proxy.browser();
    assert_eq!(whoami(&browser).await, None);
    let home = browser.get("/").await;
    assert_eq!((home.status().as_u16(), &home.headers()[LOCATION]), (303, &"/auth/sign-in".parse().unwrap()));

    let answer = browser.sign_in(" Alice ", PASSWORD).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()[LOCATION]), (303, &"/".parse().unwrap()));
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    let me = whoami(&browser).await.unwrap();
    assert_eq!(me, serde_json::json!({"name": "alice", "teams": ["red"], "platform": false}));
    let home = browser.get("/").await.text().await.unwrap();
    assert!(home.contains("<dd>alice</dd>") && home.contains("<code>team=\"red\"</code>"), "{home}");
    assert_eq!(browser.get("/auth/sign-in").await.status(), 303);

    let stolen = browser.clone();
    let answer = browser.post("/auth/sign-out", &[]).await;
    assert_eq!((answer.status().as_u16(), browser.cookie.clone()), (303, None));
    assert_eq!(whoami(&stolen).await, None);

    let both = whoami(&proxy.signed_in(BOTH).await).await.unwrap();
    assert_eq!(both["teams"], serde_json::json!(["blue", "red"]));
    let home = proxy.signed_in(PETRA).await.get("/").await.text().await.unwrap();
    assert!(home.contains("every series"), "{home}");
}

#[tokio::test]
async fn a_cookie_that_is_not_ours_is_worth_nothing() {
    let proxy = Proxy::start(NO_PROMETHEUS, "", &[ALICE]).await;
    let mut browser = proxy.signed_in(ALICE).await;
    let good = browser.cookie.clone().unwrap();
    let (name, id) = good.split_once('=').unwrap();
    let swapped = if id.starts_with('A') { "B" } else { "A" };
    for bad in [
        format!("{name}={swapped}{}", &id[1..]),
        format!("{name}={}", &id[1..]),
        format!("{name}={id}A"),
        format!("{name}="),
        format!("other={id}"),
        format!("{name}={}", "A".repeat(43)),
        format!("{good}; {name}={}", "A".repeat(43)),
        format!("{name}={}; {good}", "A".repeat(43)),
        format!("__Host-{name}={id}"),
    ] {
        browser.cookie = Some(bad.clone());
        assert_eq!(whoami(&browser).await, None, "{bad}");
    }
    browser.cookie = Some(format!("theme=dark; {good}; x=y"));
    assert!(whoami(&browser).await.is_some());
}

#[tokio::test]
async fn an_id_from_before_the_sign_in_is_not_adopted() {
    let proxy = Proxy::start(NO_PROMETHEUS, "", &[ALICE]).await;
    let mut browser = proxy.browser();
    let planted = format!("lynceus_session={}", "A".repeat(43));
    browser.cookie = Some(planted.clone());
    assert_eq!(browser.sign_in("alice", PASSWORD).await.status(), 303);
    let first = browser.clone();
    assert_ne!(first.cookie, Some(planted));
    // Signing in again gives another id and ends the first.
    assert_eq!(browser.sign_in("alice", PASSWORD).await.status(), 303);
    assert_ne!(browser.cookie, first.cookie);
    assert_eq!(whoami(&first).await, None);
    assert!(whoami(&browser).await.is_some());
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used() {
    let proxy = Proxy::start(NO_PROMETHEUS, "sessions: {idle_timeout: 3s}\n", &[ALICE]).await;
    let browser = proxy.signed_in(ALICE).await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        assert!(whoami(&browser).await.is_some(), "after {:?} in use", start.elapsed());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    tokio::time::sleep(Duration::from_millis(3600)).await;
    assert_eq!(whoami(&browser).await, None);
    assert_eq!(browser.get("/prometheus/api/v1/query?query=up").await.status(), 401);
}

#[tokio::test]
async fn sessions_outlive_a_restart_but_not_a_new_password_or_the_user() {
    let mut proxy = Proxy::start(NO_PROMETHEUS, "", &[ALICE, PETRA]).await;
    let (alice, petra) = (proxy.signed_in(ALICE).await, proxy.signed_in(PETRA).await);
    proxy.restart().await;
    assert!(whoami(&alice).await.is_some());
    assert!(run(proxy.dir.path(), &["user", "passwd", "alice"], "Another-Password-2").status.success());
    assert_eq!(whoami(&alice).await, None);
    assert_eq!(proxy.browser().sign_in("alice", PASSWORD).await.status(), 401);
    assert_eq!(proxy.browser().sign_in("alice", "Another-Password-2").await.status(), 303);
    assert!(whoami(&petra).await.is_some());
    assert!(run(proxy.dir.path(), &["user", "delete", "petra"], "").status.success());
    assert_eq!(whoami(&petra).await, None);
    assert_eq!(proxy.browser().sign_in("petra", PASSWORD).await.status(), 401);
}

#[tokio::test]
async fn an_unknown_name_and_a_wrong_password_look_the_same() {
    let proxy = Proxy::start(NO_PROMETHEUS, "", &[ALICE]).await;
    let try_in = async |name: &str, password: &str| {
        let start = Instant::now();
        let mut browser = proxy.browser();
        let answer = browser.sign_in(name, password).await;
        let took = start.elapsed();
        let status = answer.status().as_u16();
        let mut names: Vec<_> = answer.headers().keys().map(|name| name.as_str().to_owned()).collect();
        names.sort_unstable();
        // The name is shown again, so that only the password has to be typed again.
        let body = answer.text().await.unwrap().replace(&format!("value=\"{name}\""), "value=\"NAME\"");
        ((status, names, body), took)
    };
    let (wrong, wrong_took) = try_in("alice", "Wrong-Password-1").await;
    assert_eq!(wrong.0, 401);
    assert!(wrong.2.contains("The name or the password is wrong."), "{}", wrong.2);
    for (name, password) in
        [("nosuch", "Wrong-Password-1"), ("alice", &*"x".repeat(100)), ("nosuch", &*"x".repeat(100))]
    {
        let (found, took) = try_in(name, password).await;
        assert_eq!(found, wrong, "{name}");
        // Neighbours on the machine make single times vary; without the dummy hash this is a hundredth.
        assert!(took > wrong_took / 5, "{name} took {took:?}, a wrong password {wrong_took:?}");
    }
    let log = proxy.process.log();
    assert!(!log.contains("Wrong-Password") && !log.contains("xxxxxxxxxx"), "{log}");
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let proxy = Proxy::start(NO_PROMETHEUS, "", &[ALICE]).await;
    for name in ["alice", "nosuch"] {
        for _ in 0..5 {
            assert_eq!(proxy.browser().sign_in(name, "Wrong-Password-1").await.status(), 401);
        }
        let answer = proxy.browser().sign_in(name, PASSWORD).await;
        assert_eq!(answer.status(), 429, "{name}");
        let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=31).contains(&wait), "{wait}");
        let body = answer.text().await.unwrap();
        assert!(body.contains(&format!("Try again in {wait} seconds.")), "{body}");
    }
    let metrics = proxy.metrics().await;
    for (outcome, count) in [("refused", 10), ("throttled", 2), ("accepted", 0)] {
        let line = format!("lynceus_auth_proxy_sign_ins_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}

#[tokio::test]
async fn other_sites_can_neither_sign_in_nor_out() {
    let proxy = Proxy::start(NO_PROMETHEUS, "", &[ALICE]).await;
    let alice = proxy.signed_in(ALICE).await;
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let cookie = alice.cookie.clone().unwrap();
    let attempts: [&[(&str, &str)]; 5] = [
        &[],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", &proxy.url), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ];
    for headers in attempts {
        for path in ["/auth/sign-out", "/auth/sign-in"] {
            let mut request = client.post(format!("{}{path}", proxy.url)).header("cookie", &cookie);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = request.form(&[("username", "alice"), ("password", PASSWORD)]).send().await.unwrap();
            assert_eq!(answer.status(), 403, "{path} {headers:?}");
            assert!(answer.headers().get(SET_COOKIE).is_none());
            // The template engine escapes slashes too.
            let page = answer.text().await.unwrap().replace("&#x2f;", "/");
            assert!(page.contains(&format!("Go to {} instead.", proxy.url)), "{page}");
        }
    }
    assert!(whoami(&alice).await.is_some());
    // Reading changes nothing.
    assert_eq!(alice.request(Method::GET, "/auth/sign-out").send().await.unwrap().status(), 404);
    assert!(whoami(&alice).await.is_some());
    let fetched = client.post(format!("{}/auth/sign-out", proxy.url)).header("cookie", &cookie);
    assert_eq!(fetched.header("sec-fetch-site", "same-origin").send().await.unwrap().status(), 303);
    assert_eq!(whoami(&alice).await, None);
}

#[tokio::test]
async fn the_way_back_leads_to_our_own_pages_only() {
    let proxy = Proxy::start(NO_PROMETHEUS, "", &[ALICE]).await;
    let page = proxy.browser().get("/auth/sign-in?rd=%2Fauth%2Fwhoami%3Fa%3D%22%3E").await.text().await.unwrap();
    assert!(page.contains(r#"name="rd" value="&#x2f;auth&#x2f;whoami?a=&quot;&gt;""#), "{page}");
    let to = async |rd: &str| {
        let form = [("username", "alice"), ("password", PASSWORD), ("rd", rd)];
        let answer = proxy.browser().post("/auth/sign-in", &form).await;
        answer.headers()[LOCATION].to_str().unwrap().to_owned()
    };
    assert_eq!(to("/prometheus/api/v1/query?query=up").await, "/prometheus/api/v1/query?query=up");
    for bad in
        ["//evil.example", "/\\evil.example", "https://evil.example/", "/%0d%0aset-cookie:x", "/\t//evil.example"]
    {
        let location = to(bad).await;
        assert!(location == "/" || location == "/%0d%0aset-cookie:x", "{bad:?} leads to {location}");
    }
    let signed_in = proxy.signed_in(ALICE).await;
    let answer = signed_in.get("/auth/sign-in?rd=//evil.example").await;
    assert_eq!(answer.headers()[LOCATION], "/");
}

#[tokio::test]
async fn the_page_runs_no_scripts_and_escapes_what_was_typed() {
    let proxy = Proxy::start(NO_PROMETHEUS, "", &[]).await;
    let answer = proxy.browser().get("/auth/sign-in").await;
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(answer.headers()["x-frame-options"], "DENY");
    let page = answer.text().await.unwrap();
    assert!(!page.contains("<script") && !page.contains("style=") && page.contains("lang=\"en\""), "{page}");
    for path in ["/auth/style.css", "/auth/icon.svg"] {
        assert_eq!(proxy.browser().get(path).await.status(), 200);
    }
    let answer = proxy.browser().sign_in("\"><script>alert(1)</script>", "x").await;
    assert_eq!(answer.status(), 401);
    assert!(!answer.text().await.unwrap().contains("<script"));
    for form in [vec![("username", "alice")], vec![("username", ""), ("password", "")], vec![("a", "b")]] {
        assert_eq!(proxy.browser().post("/auth/sign-in", &form).await.status(), 400);
    }
}

#[tokio::test]
async fn the_database_holds_neither_passwords_nor_ids() {
    let proxy = Proxy::start(NO_PROMETHEUS, "", &[ALICE]).await;
    let browser = proxy.signed_in(ALICE).await;
    let id = browser.cookie.clone().unwrap().split_once('=').unwrap().1.to_owned();
    let mut found_alice = false;
    for entry in std::fs::read_dir(proxy.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let is_database = path.file_name().unwrap().to_string_lossy().starts_with("auth.sqlite");
        let bytes = std::fs::read(&path).unwrap();
        let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!contains(PASSWORD) && !contains(&id), "{}", path.display());
        found_alice |= is_database && contains("alice");
        if is_database {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} is readable by others", path.display());
        }
    }
    assert!(found_alice);
}
