//! TLS from both sides: our listener with the web config file, our client with a CA file or a pin.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lynceus_demo::{Process, eventually, free_port};
use lynceus_service::tls::ClientTls;

use crate::life::greeter;

struct Tls {
    _process: Process,
    address: String,
    ca: std::path::PathBuf,
    fingerprint: String,
}

/// Starts a greeter with a certificate of its own authority and one user.
async fn start(dir: &Path) -> Tls {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    write("ca.pem", &ca_pem);
    write("cert.pem", &leaf.pem());
    write("key.pem", &key.serialize_pem());
    let hash = bcrypt::hash("open sesame", 4).unwrap();
    write(
        "web.yml",
        &format!(
            "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\nbasic_auth_users:\n  alice: {hash}\n"
        ),
    );
    write("greeter.yml", "greeting: hello\n");
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(greeter());
    command.args(["--web.config.file=web.yml", "--web.listen-address", &address]);
    let process = Process::start("greeter", command, dir).unwrap();
    eventually(Duration::from_secs(20), "the listener", || async {
        Ok(tokio::net::TcpStream::connect(&address).await.map(drop)?)
    })
    .await
    .unwrap();
    let fingerprint = {
        use sha2::Digest;
        sha2::Sha256::digest(leaf.der()).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    Tls { _process: process, address, ca: dir.join("ca.pem"), fingerprint }
}

fn client(tls: &ClientTls) -> reqwest::Client {
    reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls.rustls().unwrap()).build().unwrap()
}

fn why(error: reqwest::Error) -> String {
    lynceus_service::tls::untrusted_certificate(&error).unwrap_or_else(|| panic!("another error: {error:?}"))
}

fn pin(text: &str) -> ClientTls {
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    ClientTls::Pinned(vec![bytes])
}

#[tokio::test]
async fn credentials_are_asked_for_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let tls = start(dir.path()).await;
    let client = client(&ClientTls::CaFile(tls.ca));
    let url = format!("https://{}/greeting", tls.address);
    let status = |request: reqwest::RequestBuilder| async { request.send().await.unwrap().status().as_u16() };
    assert_eq!(status(client.get(&url)).await, 401);
    assert_eq!(status(client.get(&url).basic_auth("alice", Some("wrong"))).await, 401);
    assert_eq!(status(client.get(&url).basic_auth("bob", Some("open sesame"))).await, 401);
    // Twice: the second one is answered from the cache of accepted credentials.
    assert_eq!(status(client.get(&url).basic_auth("alice", Some("open sesame"))).await, 200);
    assert_eq!(status(client.get(&url).basic_auth("alice", Some("open sesame"))).await, 200);
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused_and_a_pinned_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let tls = start(dir.path()).await;
    let url = format!("https://{}/greeting", tls.address);
    let get = |tls: ClientTls| {
        let url = url.clone();
        async move { client(&tls).get(url).send().await }
    };
    let untrusted = why(get(ClientTls::SystemRoots).await.unwrap_err());
    let named = format!("its SHA-256 fingerprint is {}", tls.fingerprint);
    assert_eq!(untrusted, format!("the server's certificate is not signed by a trusted authority; {named}"));
    assert_eq!(get(pin(&tls.fingerprint)).await.unwrap().status(), 401);
    let other = why(get(pin(&"ab".repeat(32))).await.unwrap_err());
    assert_eq!(other, format!("the server's certificate is not the pinned one; {named}"));
}

#[tokio::test]
async fn the_listener_speaks_tls_1_3_only() {
    let dir = tempfile::tempdir().unwrap();
    let tls = start(dir.path()).await;
    lynceus_service::tls::install_provider();
    let config =
        tokio_rustls::rustls::ClientConfig::builder_with_protocol_versions(&[&tokio_rustls::rustls::version::TLS12])
            .with_root_certificates(tokio_rustls::rustls::RootCertStore::empty())
            .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(&tls.address).await.unwrap();
    let name = tokio_rustls::rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let error = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
}
