//! A promise of a scenario: whether it was kept, and what there was in its place.

use std::time::Duration;

use anyhow::ensure;
use lynceus_demo::{eventually, smoke};
use lynceus_promql::{Expr, Matcher, MatcherOp, enforce, parse, selectors};
use serde_json::Value;

use super::{Stage, now};

/// Something that goes on in spite of an event. All else that is promised was not there before it.
const GOES_ON: &str = "vsphere_collector_success == 1";
const HICCUP: Duration = Duration::from_secs(20);

/// What should be seen of a vCenter.
pub(super) struct Promise<'a> {
    stage: &'a Stage,
    /// As it is written.
    text: &'a str,
    /// About this vCenter alone.
    expression: Expr,
}

/// The expression about one vCenter.
fn narrowed(text: &str, vcenter: &str) -> Expr {
    let mut tree = parse(text).unwrap_or_else(|error| panic!("{vcenter}: `{text}`: {error}"));
    enforce(&mut tree, &Matcher::new("vcenter", MatcherOp::Equal, vcenter)).unwrap();
    tree
}

impl<'a> Promise<'a> {
    /// All that a scenario promises.
    pub(super) fn of(stage: &'a Stage) -> impl Iterator<Item = Self> {
        let texts = stage.scenario.steps.iter().flat_map(|step| &step.expect.metrics);
        texts.map(move |text| Self { stage, text, expression: narrowed(text, &stage.scenario.name) })
    }

    fn name(&self) -> &str {
        &self.stage.scenario.name
    }

    /// Whether it is so because of the scenario. A hiccup of the machine passes.
    pub(super) async fn is_no_matter_of_course(&self, port: u16) -> anyhow::Result<()> {
        eventually(HICCUP, "what is without the scenario", || async {
            let found = smoke::query(port, &self.expression.to_string()).await?;
            let news = found.is_empty() || self.text == GOES_ON;
            ensure!(news, "{}: `{}` holds without it: {}", self.name(), self.text, summary(&found));
            Ok(())
        })
        .await
    }

    /// Whether it held at any moment since the scenario began; where something should go on, with what was collected
    /// after the last of the events began.
    pub(super) async fn was_kept(&self, port: u16, began: f64) -> bool {
        let mut expression = self.expression.to_string();
        if self.text == GOES_ON {
            let last = self.stage.scenario.steps.iter().map(|step| step.at).max().unwrap_or_default();
            let since = began + last.as_secs_f64() / self.stage.factor;
            let collected = narrowed("vsphere_collector_last_success_timestamp_seconds", self.name());
            expression = format!("{expression} and {collected} > {since:.0}");
        }
        let found = smoke::query(port, &at_any_moment("count", &expression, began)).await;
        found.is_ok_and(|found| !found.is_empty())
    }

    /// What there was in place of it, for the person who reads why the test failed.
    pub(super) async fn instead(&self, port: u16, began: f64) -> String {
        let (name, tree) = (self.name(), &self.expression);
        let mut questions = vec![
            format!("up{{instance=\"{name}\"}}"),
            format!("vsphere_collector_success{{vcenter=\"{name}\"}}"),
            format!("vsphere_collector_duration_seconds{{vcenter=\"{name}\"}}"),
        ];
        if let Expr::Binary(binary) = tree
            && binary.op.is_comparison()
        {
            questions.push(binary.lhs.to_string());
        }
        questions.extend(selectors(tree).map(|selector| Expr::Vector(selector.clone()).to_string()));
        let mut lines = vec![format!("{name}: `{}` was not seen", self.text)];
        for question in questions {
            let mut line = format!("{question}:");
            for (when, ask) in [
                ("now", question.clone()),
                ("lowest", at_any_moment("min", &question, began)),
                ("highest", at_any_moment("max", &question, began)),
            ] {
                let found = smoke::query(port, &ask).await;
                line.push_str(&format!(
                    "\n    {when}: {}",
                    found.map_or_else(|error| format!("{error:#}"), |found| summary(&found))
                ));
            }
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines.push(self.stage.state().await.unwrap_or_else(|error| format!("the fleet: {error:#}")));
        lines.join("\n  ")
    }
}

/// The least, the most, or the number of an expression's results since a moment.
fn at_any_moment(which: &str, expression: &str, since: f64) -> String {
    let seconds = (now() - since).ceil().max(1.0);
    format!("{which}_over_time(({expression})[{seconds}s:1s])")
}

/// How many series there are, the lowest and the highest of them.
fn summary(found: &[Value]) -> String {
    let series = |series: &Value| -> (f64, String) {
        let value = series["value"][1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
        let mut labels = series["metric"].clone();
        if let Some(labels) = labels.as_object_mut() {
            labels.retain(|label, _| !["__name__", "instance", "job", "vcenter"].contains(&label.as_str()));
        }
        (value, labels.to_string())
    };
    let mut series: Vec<(f64, String)> = found.iter().map(series).collect();
    series.sort_by(|a, b| a.0.total_cmp(&b.0));
    match series.as_slice() {
        [] => "nothing".to_owned(),
        [(value, labels)] => format!("{value} {labels}"),
        [(low, least), .., (high, most)] => format!("{} series, {low} {least} to {high} {most}", series.len()),
    }
}
