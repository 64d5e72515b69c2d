//! Where programs are: the real ones below `target/tools` (see `tools/setup.sh`), ours below `target`.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The checkout that this was built from.
pub fn repository() -> &'static Path {
    // deploy/demo is two folders below it.
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."))
}

/// A program that `tools/setup.sh` brings. Without it the caller skips its test: this says so, or panics where
/// `LYNCEUS_REQUIRE_ALL=1` makes that a failure.
#[expect(clippy::print_stderr, reason = "tells the person who runs the tests")]
pub fn tool(name: &str) -> Option<PathBuf> {
    let tools = repository().join("target/tools");
    let found =
        [tools.join("bin").join(name), tools.join("venv/bin").join(name)].into_iter().find(|path| path.exists());
    if found.is_none() {
        let missing = format!("`{name}` is not in target/tools; `tools/setup.sh` brings it");
        assert!(std::env::var_os("LYNCEUS_REQUIRE_ALL").is_none(), "{missing}");
        eprintln!("skipped: {missing}");
    }
    found
}

/// A binary of ours, as the last build left it beside the program that asks.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe()?;
    // target/<profile>/demo, or target/<profile>/deps/<test>.
    let found = me.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| anyhow::anyhow!("`{name}` is not built; `cargo build --workspace` builds it"))
}

/// A TCP port of loopback that nobody listens on, and that this process has not given out before.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    loop {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        match port {
            Ok(address) if !given.contains(&address.port()) => {
                given.push(address.port());
                return address.port();
            }
            Ok(_) => {}
            Err(error) => panic!("loopback has no free TCP port: {error}"),
        }
    }
}
