//! A stack per test, or a word that it was skipped.

use lynceus_demo::stack::{Simulator, Stack, StackOptions};
use lynceus_demo::{Ports, tool};
use tempfile::TempDir;

/// Starts a stack of `vms` VMs on vcsim; `None` where the real programs are missing, which has been said.
pub(crate) async fn start(vms: u32) -> Option<(TempDir, Stack)> {
    start_on(Simulator::Vcsim, vms).await
}

/// The same on any simulator.
pub(crate) async fn start_on(simulator: Simulator, vms: u32) -> Option<(TempDir, Stack)> {
    for name in ["vcsim", "prometheus", "alertmanager", "python"] {
        tool(name)?;
    }
    let dir = tempfile::tempdir().unwrap();
    let options = StackOptions { simulator, dir: dir.path().join("stack"), ports: Ports::free(), vms };
    let stack = Stack::start(options).await.unwrap_or_else(|error| panic!("{error:#}"));
    Some((dir, stack))
}
