//! `lynceus-exporter inventory`: what the config would make of the VMs, without serving anything.
//!
//! Each vCenter is collected once, by the very parts that the daemon runs, so that teams, tiers and numbers of series are
//! those that its page would have. Nothing is stored, and all sessions are closed at the end.

mod census;
mod print;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use futures_util::future::join_all;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::signal::ctrl_c;
use tokio::sync::Notify;

pub use census::Census;
pub use print::{csv, json, table};

use crate::catalogue::Class;
use crate::collect::{Estate, details, follow, performance, tags};
use crate::config::{Config, VcenterConfig};
use crate::metrics::Metrics;
use crate::vsphere::{BackOff, Client, TagService, Transport};

/// What the command line says.
#[derive(Debug, Args)]
pub struct Options {
    /// Config file, in YAML
    #[arg(long = "config.file", value_name = "FILE", default_value = "exporter.yml")]
    config_file: PathBuf,

    /// Ask this vCenter only; may be repeated
    #[arg(long = "vcenter", value_name = "NAME")]
    vcenters: Vec<String>,

    /// List the VMs of this team only
    #[arg(long, value_name = "NAME")]
    team: Option<String>,

    /// How to print what was found
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Format of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// One object, with totals
    Json,
    /// One line for each VM, after a line with the names
    Csv,
}

/// A vCenter that could not be read.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Failure {
    /// Its name.
    pub vcenter: String,
    /// Why.
    pub error: String,
}

/// Reads and prints. Exit codes: 0 fine, 1 something could not be read, 2 config or usage.
pub async fn run(options: Options) -> ExitCode {
    lynceus_service::tls::install_provider();
    let mut config = match lynceus_service::load::<Config>(&options.config_file) {
        Ok(config) => config,
        Err(problems) => return usage(&problems.to_string()),
    };
    let known: Vec<_> = config.vcenters.iter().map(|vcenter| vcenter.name.clone()).collect();
    if let Some(unknown) = options.vcenters.iter().find(|name| !known.contains(name)) {
        return usage(&format!("there is no vCenter `{unknown}`; the config has `{}`", known.join("`, `")));
    }
    config.vcenters.retain(|vcenter| options.vcenters.is_empty() || options.vcenters.contains(&vcenter.name));

    let progress = MultiProgress::new();
    let readings = config.vcenters.iter().map(|vcenter| {
        let line = progress.add(ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner()));
        line.enable_steady_tick(Duration::from_millis(100));
        let config = &config;
        async move {
            let outcome = read(vcenter, config, &line).await;
            line.finish_and_clear();
            outcome.map_err(|error| Failure { vcenter: vcenter.name.clone(), error })
        }
    });
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for outcome in join_all(readings).await {
        match outcome {
            Ok(census) => found.push(census.of_team(options.team.as_deref())),
            Err(failure) => failed.push(failure),
        }
    }
    let text = match options.output {
        Output::Table => table(&found),
        Output::Json => json(&found, &failed),
        Output::Csv => csv(&found),
    };
    let printed = std::io::stdout().lock().write_all(text.as_bytes());
    let problems = found.iter().flat_map(|census| census.problems.iter().map(|problem| (&census.vcenter, problem)));
    let problems = problems.chain(failed.iter().map(|failure| (&failure.vcenter, &failure.error)));
    let mut complete = true;
    for (vcenter, problem) in problems {
        complete = false;
        complain(&format!("{vcenter}: {problem}"));
    }
    match printed {
        // Whoever reads has seen enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(&format!("failed to print: {error}"));
            ExitCode::FAILURE
        }
        _ if complete => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn usage(problem: &str) -> ExitCode {
    complain(problem);
    ExitCode::from(2)
}

#[expect(clippy::print_stderr, reason = "a command speaks to its caller")]
fn complain(text: &str) {
    eprintln!("{text}");
}

async fn read(vcenter: &VcenterConfig, config: &Config, line: &ProgressBar) -> Result<Census, String> {
    let collection = config.collection.clone();
    let back_off = BackOff::of(&collection);
    let metrics = Metrics::default();
    let transport = Transport::new(vcenter.clone(), back_off, metrics.clone()).map_err(|error| error.chain())?;
    let estate = Estate::new(vcenter.name.clone(), Arc::new(transport), collection, config.terms.clone(), metrics);
    let (following, asking) = (Client::new(estate.transport.clone()), Client::new(estate.transport.clone()));
    let tagging = TagService::new(estate.transport.clone());
    let owned = Notify::new();
    let outcome = tokio::select! {
        outcome = settled(&estate, &owned, line) => outcome,
        () = collect(&estate, &following, &asking, &tagging, &owned) => Ok(()),
        _ = ctrl_c() => Err("interrupted".to_owned()),
    };
    line.set_message(format!("{}: signing out", estate.name));
    tokio::join!(following.sign_out(), asking.sign_out(), tagging.sign_out());
    outcome?;
    estate.build_inventory();
    Ok(Census::of(&estate.name, &estate.state(), Instant::now()))
}

/// The parts of the collection that have to be there before VMs can be listed.
const PARTS: [&str; 6] = [
    "inventory",
    "details",
    Class::Vm.collector(),
    Class::Host.collector(),
    Class::Datastore.collector(),
    Class::Cluster.collector(),
];

/// The part that is there where the config asks for tags.
const TAGS: &str = "tags";

/// Runs the parts of the collection, those of samples once it is known whose the VMs are: before, there are none to ask.
/// This and [`PARTS`] are where a further one is plugged in.
async fn collect(
    estate: &Arc<Estate>,
    following: &Arc<Client>,
    asking: &Arc<Client>,
    tagging: &Arc<TagService>,
    owned: &Notify,
) {
    let samples = async {
        owned.notified().await;
        tokio::join!(
            performance::run(estate, asking, Class::Vm),
            performance::run(estate, asking, Class::Host),
            performance::run(estate, asking, Class::Datastore),
            performance::run(estate, asking, Class::Cluster),
        );
    };
    tokio::join!(follow::run(estate, following), details::run(estate, asking), tags::run(estate, tagging), samples,);
}

/// Returns once each part was there once, or the inventory cannot be read.
async fn settled(estate: &Estate, owned: &Notify, line: &ProgressBar) -> Result<(), String> {
    let mut told = false;
    loop {
        let missing: Vec<_> = {
            let state = estate.state();
            if let Some(error) = state.health().iter().find_map(|h| h.error.clone().filter(|_| h.collector == PARTS[0]))
            {
                return Err(error);
            }
            let tags = estate.terms.needs_tags().then_some(TAGS);
            PARTS
                .into_iter()
                .chain(tags)
                .filter(|part| !state.health().iter().any(|health| health.collector == *part))
                .collect()
        };
        if !told && !missing.contains(&PARTS[0]) && !missing.contains(&TAGS) {
            estate.build_inventory();
            owned.notify_one();
            told = true;
        }
        if missing.is_empty() && estate.mirror().nameless_alarms().is_empty() {
            return Ok(());
        }
        line.set_message(format!("{}: {}", estate.name, missing.join(", ")));
        tokio::select! {
            () = estate.state_changed.notified() => {}
            () = estate.mirror_changed.notified() => {}
        }
    }
}
