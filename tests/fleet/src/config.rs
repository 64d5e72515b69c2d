//! Flags of the binary, and what they mean.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;

use crate::app::Options;
use crate::backfill;
use crate::cost;
use crate::lab::Plan;
use crate::model::{Size, Time};
use crate::scenario::Scenario;

const EXAMPLES: &str = "Examples:
  lynceus-fleet --vms 200 --user lynceus --password secret
      one vCenter with 200 VMs, and its hosts on 127.1.0.1 and up
  lynceus-fleet --vms 5000 --cost default --time-factor 60
      a large estate that answers as slowly as a real one and lives an hour in a minute
  lynceus-fleet --scenario tests/fleet/scenarios/demo.yml
      things go wrong from the first minute on
  curl --data-binary @scenario.yml http://127.0.0.1:8990/scenario
      and more of it, while it runs";

/// Simulates a VMware estate: a vCenter and its ESXi hosts, which behave, break and scale.
///
/// Prints one line of JSON on standard output when it listens (url, sha256, vms, hosts, control), and serves until
/// SIGINT or SIGTERM. What it can do and what not is in docs/fleet.md.
#[derive(Debug, clap::Parser)]
#[command(name = "lynceus-fleet", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What else is wanted.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Virtual machines, templates included; hosts, clusters and datastores follow from them
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    vms: u32,

    /// Where all numbers and names come from: the same seed gives the same estate
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Where the vCenter listens; the hosts take the same port on addresses of their own
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8989")]
    listen: SocketAddr,

    /// Where the fleet's own HTTP interface listens: GET /state, GET and POST /scenario
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8990")]
    control: SocketAddr,

    /// No listeners for the ESXi hosts
    #[arg(long)]
    no_hosts: bool,

    /// The only user that may sign in [default: anyone]
    #[arg(long, requires = "password")]
    user: Option<String>,

    /// That user's password
    #[arg(long, requires = "user")]
    password: Option<String>,

    /// Folder for `ca.pem`, which signs all certificates
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<PathBuf>,

    /// Scenario to start at once; may be given several times
    #[arg(long, value_name = "FILE")]
    scenario: Vec<PathBuf>,

    /// Simulated seconds in a second
    #[arg(long, default_value_t = 1.0, value_parser = factor)]
    time_factor: f64,

    /// What calls cost: `off`, `default` (near a mid-size vCenter), or a YAML file
    #[arg(long, value_name = "off|default|FILE", default_value = "off")]
    cost: String,
}

/// What the fleet does instead of listening.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Write the estate's past to a receiver of remote write
    Backfill(backfill::Options),
}

fn factor(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("expected a number, found `{text}`"))?;
    if (0.01..=100_000.0).contains(&number) {
        Ok(number)
    } else {
        Err(format!("expected 0.01 to 100000, found {number}"))
    }
}

impl Cli {
    /// Reads the files and checks what the flags say.
    pub fn options(self) -> anyhow::Result<Options> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?;
        let plan = Plan {
            seed: self.seed,
            size: Size::of(self.vms),
            origin: Time(i64::try_from(since.as_millis())?),
            factor: self.time_factor,
            account: self.user.zip(self.password),
            cost: cost::read(&self.cost)?,
        };
        Ok(Options {
            plan,
            listen: self.listen,
            control: self.control,
            hosts: !self.no_hosts,
            tls_dir: self.tls_dir,
            scenarios: self.scenario.iter().map(|file| scenario(file)).collect::<anyhow::Result<_>>()?,
        })
    }
}

fn scenario(file: &Path) -> anyhow::Result<Scenario> {
    let text = std::fs::read_to_string(file).with_context(|| format!("failed to read `{}`", file.display()))?;
    Ok(Scenario::parse(&text, file)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_user_needs_a_password_and_a_factor_is_positive() {
        assert!(Cli::try_parse_from(["fleet", "--user", "a"]).is_err());
        for factor in ["0", "-1", "nan", "inf", "fast"] {
            assert!(Cli::try_parse_from(["fleet", "--time-factor", factor]).is_err(), "{factor}");
        }
        assert!(Cli::try_parse_from(["fleet", "--time-factor", "60"]).is_ok());
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let cli = Cli::try_parse_from(["fleet", "--scenario", "nosuch.yml"]).unwrap();
        assert!(cli.options().unwrap_err().to_string().contains("nosuch.yml"));
    }
}
