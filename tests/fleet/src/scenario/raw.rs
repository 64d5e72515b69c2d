//! Scenario files: what a person writes, and what is wrong with it.

use std::time::Duration;

use lynceus_service::{Config, Problems, parse_duration};
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::target::TargetKind;
use super::{Action, Expect, KINDS, Scenario, Step, Target};
use crate::model::Power;

/// How long vCenter is away when it is restarted and the scenario does not say: that of a small appliance.
const RESTART: Duration = Duration::from_secs(3 * 60);
/// How long vCenter waits for a sick host when the scenario does not say: longer than clients wait for vCenter.
const SICK: Duration = Duration::from_secs(60);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawScenario {
    name: String,
    #[serde(default)]
    description: String,
    events: Vec<RawStep>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    at: Spanned<String>,
    #[serde(rename = "for")]
    lasts: Option<String>,
    kind: String,
    target: Option<String>,
    every: Option<String>,
    to: Option<String>,
    within: Option<String>,
    age: Option<String>,
    rate: Option<String>,
    state: Option<String>,
    factor: Option<f64>,
    left: Option<String>,
    by: Option<String>,
    timeout: Option<String>,
    #[serde(default)]
    expect: RawExpect,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpect {
    #[serde(default)]
    metrics: Vec<String>,
    #[serde(default)]
    alerts: Vec<String>,
}

impl Config for Scenario {
    type Raw = RawScenario;

    fn validate(raw: RawScenario, problems: &mut Problems) -> Option<Self> {
        let mut steps = Vec::new();
        let mut latest = Duration::ZERO;
        let number = raw.events.len();
        for (place, event) in raw.events.into_iter().enumerate() {
            let key = format!("events[{place}]");
            let line = event.at.referenced.line();
            let at = problems.duration(&format!("{key}.at"), &event.at.value);
            if let Some(at) = at {
                if at < latest {
                    let expected =
                        format!("a time that is not before the event above it, so `{}` or later", text(latest));
                    problems.push(format!("{key}.at"), expected, format!("`{}`", event.at.value));
                }
                latest = latest.max(at);
            }
            let mut step = Reader { key: &key, problems, event };
            let lasts = step.lasts();
            let action = step.action();
            step.refuse_the_rest();
            let expect = Expect { metrics: step.event.expect.metrics, alerts: step.event.expect.alerts };
            if let (Some(at), Some(lasts), Some(action)) = (at, lasts, action) {
                let source = format!("{line}: events[{place}]");
                let lasts = if action == Action::VcenterRestarted { lasts.or(Some(RESTART)) } else { lasts };
                steps.push(Step { at, lasts, action, expect, source });
            }
        }
        (steps.len() == number).then_some(Scenario { name: raw.name, description: raw.description, steps })
    }
}

fn text(duration: Duration) -> String {
    lynceus_service::format_duration(duration)
}

/// Takes the keys of one event, so that those which are left do not belong to its kind.
struct Reader<'a> {
    key: &'a str,
    problems: &'a mut Problems,
    event: RawStep,
}

impl Reader<'_> {
    fn lasts(&mut self) -> Option<Option<Duration>> {
        match self.event.lasts.take() {
            None => Some(None),
            Some(text) => self.positive("for", &text).map(Some),
        }
    }

    fn action(&mut self) -> Option<Action> {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        match self.event.kind.as_str() {
            "host_fails" => Some(Action::HostFails { host: self.target(TargetKind::Host, None)? }),
            "host_maintenance" => Some(Action::HostMaintenance { host: self.target(TargetKind::Host, None)? }),
            "host_sick" => {
                let host = self.target(TargetKind::Host, None);
                let timeout = match self.event.timeout.take() {
                    None => Some(SICK),
                    Some(text) => self.positive("timeout", &text),
                };
                Some(Action::HostSick { host: host?, timeout: timeout? })
            }
            "vmotion_storm" => {
                let (cluster, every) = (self.target(TargetKind::Cluster, Some("all")), self.every());
                Some(Action::VmotionStorm { cluster: cluster?, every: every? })
            }
            "datastore_fills" => {
                let datastore = self.target(TargetKind::Datastore, None);
                let (to, within) = (self.to(0.97), self.within(minutes(5)));
                Some(Action::DatastoreFills { datastore: datastore?, to: to?, within: within? })
            }
            "snapshot_forgotten" => {
                let vms = self.target(TargetKind::Vms, None);
                let age = match self.event.age.take() {
                    None => Some(Duration::ZERO),
                    Some(text) => self.problems.duration(&self.at("age"), &text),
                };
                Some(Action::SnapshotForgotten { vms: vms?, age: age? })
            }
            "noisy_neighbour" => Some(Action::NoisyNeighbour { vms: self.target(TargetKind::Vms, None)? }),
            "memory_leak" => {
                let vms = self.target(TargetKind::Vms, None);
                let (to, within) = (self.to(0.98), self.within(minutes(30)));
                Some(Action::MemoryLeak { vms: vms?, to: to?, within: within? })
            }
            "vm_churn" => {
                let (vms, rate) = (self.target(TargetKind::Vms, Some("all")), self.rate());
                Some(Action::VmChurn { vms: vms?, rate: rate? })
            }
            "vm_power" => {
                let (vms, state) = (self.target(TargetKind::Vms, None), self.state());
                Some(Action::VmPower { vms: vms?, state: state? })
            }
            "vcenter_slow" => Some(Action::VcenterSlow { factor: self.factor()? }),
            "vcenter_down" => Some(Action::VcenterDown),
            "vcenter_restarted" => Some(Action::VcenterRestarted),
            "certificate_expiring" => {
                let text = self.required("left", |event| event.left.take())?;
                Some(Action::CertificateExpiring { left: self.problems.duration(&self.at("left"), &text)? })
            }
            "clock_skew" => Some(Action::ClockSkew { by_millis: self.by()? }),
            other => {
                let other = format!("`{other}`");
                self.problems.push(self.at("kind"), format!("one of {}", KINDS.join(", ")), other);
                // Which keys belong to it is unknown, so none of them is wrong.
                self.forget();
                None
            }
        }
    }

    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.key)
    }

    fn required(&mut self, key: &str, take: impl FnOnce(&mut RawStep) -> Option<String>) -> Option<String> {
        let found = take(&mut self.event);
        if found.is_none() {
            self.problems.push(self.at(key), format!("a value, which `{}` needs", self.event.kind), "nothing");
        }
        found
    }

    fn target(&mut self, kind: TargetKind, default: Option<&str>) -> Option<Target> {
        let text = match (self.event.target.take(), default) {
            (None, Some(default)) => default.to_owned(),
            (None, None) => {
                self.problems.push(self.at("target"), kind.expected(), "nothing");
                return None;
            }
            (Some(text), _) => text,
        };
        let target = kind.parse(&text);
        if target.is_none() {
            self.problems.push(self.at("target"), kind.expected(), format!("`{text}`"));
        }
        target
    }

    fn positive(&mut self, key: &str, text: &str) -> Option<Duration> {
        let duration = parse_duration(text).filter(|duration| !duration.is_zero());
        if duration.is_none() {
            self.problems.push(self.at(key), "a duration such as `30s` or `1m30s`, longer than 0", format!("`{text}`"));
        }
        duration
    }

    /// A move takes a vMotion some seconds; a VM that moves without a pause is none that a host could run.
    fn every(&mut self) -> Option<Duration> {
        let Some(text) = self.event.every.take() else { return Some(Duration::from_secs(120)) };
        let every = parse_duration(&text).filter(|every| *every >= Duration::from_secs(20));
        if every.is_none() {
            self.problems.push(self.at("every"), "a duration of `20s` or longer", format!("`{text}`"));
        }
        every
    }

    fn within(&mut self, default: Duration) -> Option<Duration> {
        match self.event.within.take() {
            None => Some(default),
            Some(text) => self.positive("within", &text),
        }
    }

    fn to(&mut self, default: f64) -> Option<f64> {
        match self.event.to.take() {
            None => Some(default),
            Some(text) => self.percent("to", &text),
        }
    }

    fn rate(&mut self) -> Option<f64> {
        let text = self.required("rate", |event| event.rate.take())?;
        let rate = text.strip_suffix("/m").and_then(percent).filter(|rate| *rate > 0.0 && *rate <= 0.5);
        if rate.is_none() {
            let expected = "a part for each minute, above `0%/m` and up to `50%/m`";
            self.problems.push(self.at("rate"), expected, format!("`{text}`"));
        }
        rate
    }

    fn percent(&mut self, key: &str, text: &str) -> Option<f64> {
        let part = percent(text).filter(|part| (0.0..=1.0).contains(part));
        if part.is_none() {
            self.problems.push(self.at(key), "a part such as `97%`, at most `100%`", format!("`{text}`"));
        }
        part
    }

    fn state(&mut self) -> Option<Power> {
        let text = self.required("state", |event| event.state.take())?;
        let state = match text.as_str() {
            "on" => Some(Power::On),
            "off" => Some(Power::Off),
            "suspended" => Some(Power::Suspended),
            _ => None,
        };
        if state.is_none() {
            self.problems.push(self.at("state"), "`on`, `off` or `suspended`", format!("`{text}`"));
        }
        state
    }

    fn factor(&mut self) -> Option<f64> {
        let Some(factor) = self.event.factor.take() else {
            self.problems.push(self.at("factor"), "a number above 1, which `vcenter_slow` needs", "nothing");
            return None;
        };
        let good = factor.is_finite() && factor > 1.0;
        if !good {
            self.problems.push(self.at("factor"), "a number above 1", format!("`{factor}`"));
        }
        good.then_some(factor)
    }

    fn by(&mut self) -> Option<i64> {
        let text = self.required("by", |event| event.by.take())?;
        let (sign, length) = text.strip_prefix('-').map_or((1, text.as_str()), |length| (-1, length));
        let millis = parse_duration(length).and_then(|length| i64::try_from(length.as_millis()).ok());
        if millis.is_none() {
            let expected = "a duration such as `30s`, or `-30s` for a clock that is behind";
            self.problems.push(self.at("by"), expected, format!("`{text}`"));
        }
        millis.map(|millis| sign * millis)
    }

    fn forget(&mut self) {
        let event = &mut self.event;
        let texts = [
            &mut event.target,
            &mut event.every,
            &mut event.to,
            &mut event.within,
            &mut event.age,
            &mut event.rate,
            &mut event.state,
            &mut event.left,
            &mut event.by,
            &mut event.timeout,
        ];
        for text in texts {
            *text = None;
        }
        event.factor = None;
    }

    /// Keys that nobody has taken say something that would not happen.
    fn refuse_the_rest(&mut self) {
        let event = &self.event;
        let left = [
            ("target", event.target.clone()),
            ("every", event.every.clone()),
            ("to", event.to.clone()),
            ("within", event.within.clone()),
            ("age", event.age.clone()),
            ("rate", event.rate.clone()),
            ("state", event.state.clone()),
            ("factor", event.factor.map(|factor| factor.to_string())),
            ("left", event.left.clone()),
            ("by", event.by.clone()),
            ("timeout", event.timeout.clone()),
        ];
        for (key, value) in left {
            if let Some(value) = value {
                let expected = format!("no `{key}`, which means nothing for `{}`", event.kind);
                self.problems.push(self.at(key), expected, format!("`{value}`"));
            }
        }
    }
}

fn percent(text: &str) -> Option<f64> {
    let number: f64 = text.strip_suffix('%')?.parse().ok()?;
    number.is_finite().then_some(number / 100.0)
}
