//! What an event happens to.

use crate::model::Role;

/// A target as written, and what that means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As written.
    pub text: String,
    /// What it means.
    pub pick: Pick,
}

/// How targets are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// The one with this name.
    Named(String),
    /// The one with the highest load: CPU, for a datastore operations a second.
    Busiest,
    /// The one with the lowest load.
    Quietest,
    /// The datastore with the least free space in parts of its capacity.
    Fullest,
    /// One that the seed chooses.
    Any,
    /// All of them.
    All,
    /// VMs of a team.
    Team(String),
    /// VMs with a role.
    Role(Role),
}

/// What kind of object a target is, which says how it may be described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Host,
    Cluster,
    Datastore,
    Vms,
}

impl TargetKind {
    /// For errors.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            TargetKind::Host => "the name of a host, `busiest`, `quietest` or `any`",
            TargetKind::Cluster => "the name of a cluster, `busiest`, `quietest`, `any` or `all`",
            TargetKind::Datastore => "the name of a datastore, `busiest`, `quietest`, `fullest` or `any`",
            TargetKind::Vms => {
                "the name of a VM, `busiest`, `quietest`, `any`, `all`, `team <name>` or `role <web, db, batch, \
                 desktop, idle, zombie>`"
            }
        }
    }

    /// Reads a target; none when it cannot be one of this kind.
    pub(crate) fn parse(self, text: &str) -> Option<Target> {
        let pick = match text.split_once(' ') {
            Some(("team", team)) if self == TargetKind::Vms => Pick::Team(team.to_owned()),
            Some(("role", role)) if self == TargetKind::Vms => {
                Pick::Role(Role::ALL.into_iter().find(|known| known.name() == role)?)
            }
            _ => match text {
                "busiest" => Pick::Busiest,
                "quietest" => Pick::Quietest,
                "fullest" if self == TargetKind::Datastore => Pick::Fullest,
                "any" => Pick::Any,
                "all" if matches!(self, TargetKind::Cluster | TargetKind::Vms) => Pick::All,
                "" | "fullest" | "all" => return None,
                name => Pick::Named(name.to_owned()),
            },
        };
        Some(Target { text: text.to_owned(), pick })
    }
}
