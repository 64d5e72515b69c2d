//! ClickHouse behind TLS: verified by default, by a CA file, or by its fingerprint.

use std::sync::Arc;

use lynceus_demo::eventually;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{Archive, LIMIT, has_tools, now};
use crate::wire::series;

/// Ends TLS in front of `port`; gives its own port and the certificate in PEM.
async fn terminator(port: u16) -> (u16, String) {
    lynceus_service::tls::install_provider();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    (own, cert.pem())
}

#[tokio::test]
async fn clickhouse_behind_tls_is_trusted_only_when_told_so() {
    if !has_tools(&["python"]) {
        return;
    }
    let mut archive = Archive::start().await;
    let (port, certificate) = terminator(archive.clickhouse_port).await;
    let url = format!("clickhouse:\n  url: https://localhost:{port}\n");
    std::fs::write(archive.dir.path().join("ca.pem"), certificate).unwrap();

    archive.restart_bridge(&url).await;
    let refused = eventually(LIMIT, "the refusal", || async {
        let log = archive.bridge.log();
        let line = log.lines().find(|line| line.contains("ClickHouse cannot be used")).map(String::from);
        line.ok_or_else(|| anyhow::anyhow!("{log}"))
    });
    let refused = refused.await.unwrap();
    let reason = "is not signed by a trusted authority; its SHA-256 fingerprint is ";
    let fingerprint = refused.split(reason).nth(1).unwrap_or_else(|| panic!("{refused}"));
    let fingerprint = fingerprint.chars().take(64).collect::<String>();

    for tls in ["ca_file: ca.pem".to_owned(), format!("pinned_sha256: [{fingerprint}]")] {
        archive.restart_bridge(&format!("{url}  tls:\n    {tls}\n")).await;
        archive.wait_for_engine().await;
        archive.store(&[series(&[("__name__", "up")], &[(now(), 1.)])]).await;
    }
}
