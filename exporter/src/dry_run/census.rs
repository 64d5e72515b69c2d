//! Who owns what, and how many series it has. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use serde::Serialize;

use crate::exposition::{Page, State as _, labels};
use crate::inventory::{Object, VmPower};
use crate::page;
use crate::state::State;

/// The VMs of a vCenter. Field names are those of the JSON, which is documented.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the labels")]
pub struct Census {
    pub vcenter: String,
    /// Sorted by name.
    pub vms: Vec<Row>,
    pub teams: Vec<Total>,
    pub tiers: Vec<Total>,
    pub series: Series,
    /// VMs that are not listed.
    pub left_out: LeftOut,
    /// What could not be read, so that there may be more series.
    pub problems: Vec<String>,
}

/// A VM.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub vm_id: String,
    pub vm: String,
    pub team: String,
    /// The rule that says so, counted from 0.
    pub team_rule: Option<usize>,
    pub tier: String,
    pub tier_rule: Option<usize>,
    pub power: Option<&'static str>,
    pub host: String,
    pub folder: String,
    pub series: usize,
}

/// The VMs of a team or a tier.
#[derive(Debug, Serialize)]
pub struct Total {
    pub name: String,
    pub vms: usize,
    pub powered_on: usize,
    pub series: usize,
}

/// The series of the whole vCenter.
#[derive(Debug, Serialize)]
pub struct Series {
    /// All.
    pub total: usize,
    /// Those of VMs, of all teams.
    pub of_vms: usize,
    /// Pages they are on.
    pub shards: usize,
    /// Those of the largest page.
    pub largest_shard: usize,
    /// What a page is meant to have at most.
    pub shard_limit: usize,
}

/// VMs that are not listed, and not on the page either.
#[derive(Debug, Serialize)]
pub struct LeftOut {
    /// Templates.
    pub templates: usize,
    /// VMs without an instance UUID.
    pub unidentified: usize,
    /// VMs whose tags say whose they are, and were not read.
    pub undecided: usize,
}

impl Census {
    /// Of what is known now.
    pub fn of(vcenter: &str, state: &State, now: Instant) -> Self {
        let pages = page::render_all(|| state, now, 1);
        let texts: Vec<_> = pages.iter().map(Page::text).collect();
        let counts = count(texts.iter().map(String::as_str));
        let inventory = state.last_inventory().cloned().unwrap_or_default();
        let row = |vm: &crate::inventory::Vm| Row {
            vm_id: vm.id.clone(),
            vm: vm.name.clone(),
            team: vm.team.clone(),
            team_rule: vm.team_rule,
            tier: vm.tier.clone(),
            tier_rule: vm.tier_rule,
            power: vm.power.map(VmPower::as_str),
            host: vm.place.host.clone(),
            folder: vm.folder.clone(),
            series: counts.get(labels(&[("vm_id", &vm.id)]).as_str()).copied().unwrap_or_default(),
        };
        let mut vms: Vec<_> = inventory.vms.iter().map(row).collect();
        vms.sort_by(|a, b| (&a.vm, &a.vm_id).cmp(&(&b.vm, &b.vm_id)));
        let failed = state.health().iter().filter_map(|health| Some((health.collector, health.error.as_ref()?)));
        Self {
            vcenter: vcenter.to_owned(),
            teams: totals(&vms, |vm| &vm.team),
            tiers: totals(&vms, |vm| &vm.tier),
            series: Series {
                total: pages.iter().map(|page| page.series).sum(),
                of_vms: counts.values().sum(),
                shards: pages.len(),
                largest_shard: pages.iter().map(|page| page.series).max().unwrap_or_default(),
                shard_limit: page::MAX_SERIES,
            },
            left_out: LeftOut {
                templates: inventory.templates,
                unidentified: inventory.unidentified(Object::Vm),
                undecided: inventory.undecided,
            },
            problems: failed.map(|(collector, error)| format!("{collector}: {error}")).collect(),
            vms,
        }
    }

    /// Only the VMs of this team, and their totals.
    pub fn of_team(mut self, team: Option<&str>) -> Self {
        if let Some(team) = team {
            self.vms.retain(|vm| vm.team == team);
            self.teams = totals(&self.vms, |vm| &vm.team);
            self.tiers = totals(&self.vms, |vm| &vm.tier);
        }
        self
    }
}

/// How many series of pages are of each VM: `vm_id` is the first of their labels.
fn count<'a>(pages: impl Iterator<Item = &'a str>) -> HashMap<&'a str, usize> {
    let mut counts = HashMap::new();
    for line in pages.flat_map(str::lines) {
        let Some((_, labels)) = line.split_once('{') else { continue };
        if labels.starts_with("vm_id=\"")
            && let Some(end) = labels.find("\",vm=\"")
        {
            *counts.entry(&labels[..=end]).or_default() += 1;
        }
    }
    counts
}

fn totals(vms: &[Row], by: impl Fn(&Row) -> &String) -> Vec<Total> {
    let mut found: BTreeMap<&String, Total> = BTreeMap::new();
    for vm in vms {
        let name = by(vm);
        let total = found.entry(name).or_insert_with(|| Total { name: name.clone(), vms: 0, powered_on: 0, series: 0 });
        total.vms += 1;
        total.powered_on += usize::from(vm.power == Some(VmPower::On.as_str()));
        total.series += vm.series;
    }
    found.into_values().collect()
}
