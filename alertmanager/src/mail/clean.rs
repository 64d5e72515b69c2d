//! Label and annotation values as they may stand in a mail.
//!
//! They come from virtual machines' names, rules and scripts. A line break in one could begin a header or a line that
//! looks like ours, a character that turns the writing direction can make `exe.fdp` out of `pdf.exe`.

use url::Url;

/// Longest value that is shown on a line; Kubernetes' longest label is 63, a URL has a limit of its own.
const LINE: usize = 300;
/// Longest annotation.
const PARAGRAPH: usize = 4000;
/// Longest link: what browsers take at least.
const LINK: usize = 8000;

/// One line: no control characters, no line breaks.
pub(super) fn line(text: &str) -> String {
    let printable: String = text.chars().map(|c| if is_control(c) { ' ' } else { c }).collect();
    cut(printable.trim(), LINE)
}

/// Several lines: no control characters except the line breaks.
pub(super) fn paragraph(text: &str) -> String {
    let printable: String =
        text.replace("\r\n", "\n").chars().map(|c| if c != '\n' && is_control(c) { ' ' } else { c }).collect();
    cut(printable.trim(), PARAGRAPH)
}

/// A link that may be clicked: http or https, nothing else (`javascript:`).
pub(super) fn link(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    (url.as_str().len() <= LINK).then(|| url.into())
}

fn is_control(c: char) -> bool {
    let turns_direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns_direction || matches!(c, '\u{2028}' | '\u{2029}')
}

fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_line_break() {
        assert_eq!(line("web-01\r\nBcc: evil@example.net\u{0}"), "web-01  Bcc: evil@example.net");
        assert_eq!(line("a\u{2028}b\u{202e}c"), "a b c");
    }

    #[test]
    fn a_paragraph_keeps_its_line_breaks_only() {
        assert_eq!(paragraph(" a\r\nb\u{1b}[31m\n"), "a\nb [31m");
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        assert_eq!(line(&"ü".repeat(400)), format!("{}…", "ü".repeat(300)));
    }

    #[test]
    fn only_web_links_can_be_clicked() {
        assert_eq!(link("https://example.net/a b").as_deref(), Some("https://example.net/a%20b"));
        for refused in ["javascript:alert(1)", "data:text/html,x", "/graph", ""] {
            assert_eq!(link(refused), None, "{refused}");
        }
    }
}
