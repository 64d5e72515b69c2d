//! A proxy as a process, its users, a browser for each, and a recorder in place of Prometheus.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use lynceus_demo::{Process, free_port};
use reqwest::header::{COOKIE, HeaderValue, ORIGIN, SET_COOKIE};
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "Demo-Password-1";
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_lynceus-auth-proxy"))
}

/// Runs the command line in `dir` with `input` on standard input.
pub(crate) fn run(dir: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(binary());
    command.current_dir(dir).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that refuses its arguments does not read.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

pub(crate) struct Proxy {
    pub(crate) process: Process,
    pub(crate) url: String,
    pub(crate) internal: String,
    pub(crate) port: u16,
    pub(crate) dir: TempDir,
}

/// A user, and what `user add` is told of them.
pub(crate) const ALICE: (&str, &[&str]) = ("alice", &["--team=red"]);
pub(crate) const BOB: (&str, &[&str]) = ("bob", &["--team=blue"]);
pub(crate) const BOTH: (&str, &[&str]) = ("both", &["--team=red", "--team=blue"]);
pub(crate) const PETRA: (&str, &[&str]) = ("petra", &["--platform"]);
pub(crate) const NOBODY: (&str, &[&str]) = ("nobody", &[]);

impl Proxy {
    /// Starts a proxy before `upstream`; `more` is added to its config.
    pub(crate) async fn start(upstream: &str, more: &str, users: &[(&str, &[&str])]) -> Proxy {
        lynceus_service::tls::install_provider();
        let dir = tempfile::tempdir().unwrap();
        let (port, internal) = (free_port(), free_port());
        let url = format!("http://127.0.0.1:{port}");
        let config =
            format!("public_url: {url}\ndatabase: {{path: auth.sqlite}}\nprometheus:\n  url: {upstream}\n{more}");
        std::fs::write(dir.path().join("auth-proxy.yml"), config).unwrap();
        for (name, rights) in users {
            let mut arguments = vec!["user", "add", name];
            arguments.extend(*rights);
            let output = run(dir.path(), &arguments, &format!("{PASSWORD}\n"));
            assert!(output.status.success(), "{output:?}");
        }
        let process = start_in(dir.path(), port, internal).await;
        Proxy { process, url, internal: format!("http://127.0.0.1:{internal}"), port, dir }
    }

    pub(crate) async fn restart(&mut self) {
        assert!(self.process.terminate(LIMIT).await.unwrap().success(), "{}", self.process.log());
        let internal = self.internal.rsplit(':').next().unwrap().parse().unwrap();
        self.process = start_in(self.dir.path(), self.port, internal).await;
    }

    pub(crate) fn browser(&self) -> Browser {
        // A connection for each request: the proxy closes one whose request it has not read to the end.
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = client.pool_max_idle_per_host(0);
        Browser { client: client.timeout(LIMIT).build().unwrap(), url: self.url.clone(), cookie: None }
    }

    pub(crate) async fn signed_in(&self, (name, _): (&str, &[&str])) -> Browser {
        let mut browser = self.browser();
        let answer = browser.sign_in(name, PASSWORD).await;
        assert_eq!(answer.status(), 303, "{}", self.process.log());
        browser
    }

    pub(crate) async fn metrics(&self) -> String {
        reqwest::get(format!("{}/metrics", self.internal)).await.unwrap().text().await.unwrap()
    }
}

async fn start_in(dir: &Path, port: u16, internal: u16) -> Process {
    let mut command = Command::new(binary());
    command.arg("--config.file=auth-proxy.yml");
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    command.arg(format!("--web.internal-listen-address=127.0.0.1:{internal}"));
    let mut process = Process::start("auth-proxy", command, dir).unwrap();
    process.wait_for_http(&format!("http://127.0.0.1:{port}/-/ready"), LIMIT).await.unwrap();
    process
}

/// Keeps one cookie, as a browser does, and follows nothing.
#[derive(Clone)]
pub(crate) struct Browser {
    client: reqwest::Client,
    url: String,
    pub(crate) cookie: Option<String>,
}

impl Browser {
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url)).header(ORIGIN, &self.url);
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        let answer = self.request(Method::POST, path).form(form).send().await.unwrap();
        if let Some(cookie) = answer.headers().get(SET_COOKIE).map(|c| c.to_str().unwrap().to_owned()) {
            let pair = cookie.split(';').next().unwrap().to_owned();
            self.cookie = Some(pair).filter(|_| !cookie.contains("Max-Age=0"));
        }
        answer
    }

    pub(crate) async fn sign_in(&mut self, name: &str, password: &str) -> reqwest::Response {
        self.post("/auth/sign-in", &[("username", name), ("password", password)]).await
    }

    /// The answer's JSON to a query at a time.
    pub(crate) async fn query(&self, query: &str, time: u64) -> serde_json::Value {
        let request = self.request(Method::GET, "/prometheus/api/v1/query");
        let answer = request.query(&[("query", query), ("time", &time.to_string())]).send().await.unwrap();
        answer.json().await.unwrap()
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

type Answer = Arc<dyn Fn() -> Response + Send + Sync>;

/// Stands in for Prometheus where a test is about what reaches it, or about answers that a real one does not give.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Recorded>>>,
    answer: Arc<Mutex<Answer>>,
    wait: Arc<Mutex<Duration>>,
}

impl Recorder {
    pub(crate) async fn start() -> Recorder {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let usual: Answer = Arc::new(|| json(r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#));
        let recorder =
            Recorder { url, requests: Arc::default(), answer: Arc::new(Mutex::new(usual)), wait: Arc::default() };
        let router = axum::Router::new().fallback(record).with_state(recorder.clone());
        // Ends with the test's runtime.
        drop(tokio::spawn(async move { axum::serve(listener, router).await }));
        recorder
    }

    pub(crate) fn answer_with(&self, answer: impl Fn() -> Response + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    pub(crate) fn wait_before_answers(&self, wait: Duration) {
        *self.wait.lock().unwrap() = wait;
    }

    /// What has arrived since the last call.
    pub(crate) fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

pub(crate) fn json(text: &'static str) -> Response {
    ([("content-type", HeaderValue::from_static("application/json"))], text).into_response()
}

async fn record(
    State(recorder): State<Recorder>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    recorder.requests.lock().unwrap().push(Recorded { method, uri, headers, body });
    let wait = *recorder.wait.lock().unwrap();
    tokio::time::sleep(wait).await;
    let answer = recorder.answer.lock().unwrap().clone();
    answer()
}
