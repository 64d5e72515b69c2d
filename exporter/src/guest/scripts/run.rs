//! The runs of a guest's scripts, each when its time has come.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use thiserror::Error;
use tracing::warn;

use super::{MAX_BYTES, Sample, Script, ScriptError, Source, TIME_LIMIT, add, command, output, read};
use crate::guest::board::Labels;
use crate::guest::families::Families;
use crate::guest::reading::{self, mark};
use crate::guest::rules::How;
use crate::guest::ssh::{Connection, Failure};

/// How much longer than a script may run its end is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// How the scripts of a guest went the last time, by their names.
#[derive(Debug, Default)]
pub struct Runs(BTreeMap<String, Run>);

#[derive(Debug)]
struct Run {
    at: Instant,
    took: Duration,
    result: Result<Vec<Sample>, String>,
}

impl Runs {
    /// Shows what they printed, while it is fresh.
    pub fn show(&self, how: &How, families: &mut Families) {
        for script in &how.scripts {
            let Some(run) = self.0.get(&script.name) else { continue };
            let labels = [("script", script.name.as_str())];
            let success = if run.result.is_ok() { 1.0 } else { 0.0 };
            families.gauge("lynceus_guest_script_success", "Whether a script could be used.", &labels, success);
            let (name, help) = ("lynceus_guest_script_duration_seconds", "How long a script took.");
            families.gauge(name, help, &labels, run.took.as_secs_f64());
            if let Ok(samples) = &run.result
                && run.at.elapsed() <= (script.interval + how.interval) * 2
            {
                add(samples, families);
            }
        }
    }

    /// Runs those whose time it is; whether the connection is of no more use. What they print is shown with the next
    /// collection, which must not wait for them.
    pub async fn run(&mut self, connection: &Connection, how: &How, labels: &Labels) -> bool {
        for script in &how.scripts {
            let last = self.0.get(&script.name);
            // A beat comes a bit early or late.
            if last.is_some_and(|run| run.at.elapsed() < script.interval.mul_f64(0.9)) {
                continue;
            }
            let at = Instant::now();
            let result = run(connection, script).await;
            let broken = matches!(result, Err(ScriptFailure::Failure(_)));
            let result = result.map_err(|error| error.to_string());
            if let Err(error) = &result
                && last.and_then(|run| run.result.as_ref().err()) != Some(error)
            {
                let Labels { vcenter, vm, .. } = labels;
                warn!(vcenter, vm, script = script.name, error, "a script cannot be used");
            }
            self.0.insert(script.name.clone(), Run { at, took: at.elapsed(), result });
            if broken {
                return true;
            }
        }
        false
    }
}

/// What went wrong with a script.
#[derive(Debug, Error)]
enum ScriptFailure {
    #[error(transparent)]
    Failure(#[from] Failure),
    #[error(transparent)]
    Incomplete(#[from] reading::Incomplete),
    #[error(transparent)]
    Output(#[from] ScriptError),
    #[error("failed to read `{}`: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
}

async fn run(connection: &Connection, script: &Script) -> Result<Vec<Sample>, ScriptFailure> {
    let text = match &script.source {
        Source::Inline(text) => text.clone(),
        Source::File(path) => {
            tokio::fs::read_to_string(path).await.map_err(|error| ScriptFailure::File { path: path.clone(), error })?
        }
    };
    let mark = mark();
    let command = command(&mark, &text, TIME_LIMIT);
    // The guest ends it itself; the connection waits a bit longer.
    let limit = TIME_LIMIT + GRACE;
    let bytes = connection.run_within(command, limit, MAX_BYTES).await?;
    let text = reading::text(&bytes);
    Ok(read(output(reading::between(&text, &mark)?)?)?)
}
