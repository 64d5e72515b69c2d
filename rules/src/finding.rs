//! Something that is wrong, and where.

use std::ops::Range;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// One sentence: lower case, no full stop.
    pub(crate) message: String,
    /// Bytes of the file.
    pub(crate) place: Range<usize>,
    /// What is expected there, beside the place.
    pub(crate) label: Option<String>,
    /// What to do.
    pub(crate) help: Option<String>,
}

impl Finding {
    pub(crate) fn new(place: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), place, label: None, help: None }
    }
}
