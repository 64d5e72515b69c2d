//! The past: what the fleet did before the demo began, in the archive.

use std::process::Command;

use anyhow::ensure;

use crate::stack::Stack;
use crate::{Process, binary, smoke};

/// Labels that Prometheus adds to what it writes remotely, as in its config.
const EXTERNAL_LABEL: &str = "prometheus=demo";

/// Writes so many days, for the series that Prometheus has by now. Takes about two seconds a day, in the background.
pub async fn fill(stack: &Stack, days: u32) -> anyhow::Result<()> {
    smoke::every_vm_is_in_prometheus(stack).await?;
    let ports = &stack.options.ports;
    let mut command = Command::new(binary("lynceus-fleet")?);
    command.arg("backfill").args(["--label", EXTERNAL_LABEL]);
    command.arg(format!("--days={days}")).arg(format!("--vms={}", stack.options.vms));
    command.arg(format!("--like=http://127.0.0.1:{}", ports.prometheus));
    command.arg(format!("--url=http://127.0.0.1:{}/api/v1/write", ports.bridge));
    let mut backfill = Process::start("backfill", command, &stack.options.dir.join("history"))?;
    let status = backfill.wait().await?;
    ensure!(status.success(), "the past could not be written; its log:\n{}", backfill.log());
    Ok(())
}
