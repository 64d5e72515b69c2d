//! What was found, for people.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::finding::Finding;
use crate::source::Source;

/// All findings about the checked files.
pub struct Report {
    sources: Vec<Source>,
    findings: Vec<Found>,
    rules: usize,
}

/// A finding, with the file's index and the check's name: its page in `docs/checks/`.
pub(crate) struct Found {
    pub(crate) file: usize,
    pub(crate) check: &'static str,
    pub(crate) finding: Finding,
}

impl Report {
    pub(crate) fn new(sources: Vec<Source>, findings: Vec<Found>, rules: usize) -> Self {
        Self { sources, findings, rules }
    }

    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Each finding with the lines that it is about, and a line with the numbers.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for found in &self.findings {
            text.push_str(&renderer.render(&[snippet(&self.sources[found.file], found)]));
            text.push_str("\n\n");
        }
        text.push_str(&self.numbers());
        text
    }

    fn numbers(&self) -> String {
        let (files, rules) = (count(self.sources.len(), "file"), count(self.rules, "rule"));
        match self.findings.len() {
            0 => format!("{files}, {rules}: no findings\n"),
            found => format!("{files}, {rules}: {}\n", count(found, "finding")),
        }
    }
}

fn snippet<'a>(source: &'a Source, found: &'a Found) -> Group<'a> {
    let finding = &found.finding;
    let mut annotation = AnnotationKind::Primary.span(finding.place.clone());
    if let Some(label) = &finding.label {
        annotation = annotation.label(label.as_str());
    }
    let title = Level::ERROR.primary_title(finding.message.as_str()).id(found.check);
    let snippet = Snippet::source(source.text.as_str()).path(source.path.as_str()).annotation(annotation);
    let group = title.element(snippet);
    match &finding.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
