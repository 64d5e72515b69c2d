//! What a board is made of. Only what the boards use: a panel type or unit more is a variant more.

/// A board: one question.
pub(crate) struct Board {
    /// Below the output folder.
    pub(crate) file: &'static str,
    /// Part of its URL: never changes.
    pub(crate) uid: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) tags: &'static [&'static str],
    pub(crate) variables: &'static [Variable],
    /// From left to right; one that does not fit beside the others begins a new row.
    pub(crate) panels: &'static [Panel],
}

/// A choice at the top of the board, of one or more values of a label.
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    /// Grafana's `label_values(…)`.
    pub(crate) query: &'static str,
}

pub(crate) struct Panel {
    pub(crate) title: &'static str,
    /// What it shows, and what to make of it.
    pub(crate) description: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    /// Of 24 columns.
    pub(crate) width: u32,
    /// In Grafana's units of 30 pixels.
    pub(crate) height: u32,
    /// Values from which the colour changes: amber, red.
    pub(crate) limits: Option<(f64, f64)>,
    pub(crate) queries: &'static [Query],
}

pub(crate) struct Query {
    pub(crate) expr: &'static str,
    /// Name of each series, with its labels in `{{…}}`.
    pub(crate) legend: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Big numbers, of now.
    Stat,
    /// Lines over time.
    TimeSeries,
    /// Areas over time, one on the other: parts of a whole.
    Stacked,
    /// A bar per series, of now, the longest first.
    Bars,
}

/// Grafana's ids of units. Ratios are 0 to 1.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Count,
    Ratio,
    Seconds,
    Bytes,
    Hertz,
}

impl Unit {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Count => "none",
            Self::Ratio => "percentunit",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::Hertz => "hertz",
        }
    }
}
