//! Every metric that a catalogue speaks for is in it, or recorded by one of the files.

use lynceus_promql::{parse, selectors};

use super::Context;
use crate::finding::Finding;

pub(crate) const NAME: &str = "metric";

pub(super) fn run(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Some(catalogue) = context.catalogue else { return };
    for rule in context.file.rules() {
        let text = &rule.value.expr;
        // What does not parse is a finding of `promql`.
        let Ok(expr) = parse(&text.value) else { continue };
        for selector in selectors(&expr) {
            let Some(name) = selector.metric_name() else { continue };
            let known = catalogue.contains(name) || context.recorded.contains(name);
            if known || !catalogue.speaks_for(name) {
                continue;
            }
            let start = selector.span.range().start;
            let place = match &selector.name {
                Some(_) => start..start + name.len(),
                None => selector.span.range(),
            };
            let place = context.source.place_in(text, place);
            let mut finding = Finding::new(place, format!("there is no metric `{name}`"));
            finding.label = Some("not in the catalogue, and not recorded by these files".to_owned());
            finding.help = catalogue.similar(name).map(|similar| format!("did you mean `{similar}`?"));
            findings.push(finding);
        }
    }
}
