//! Mail addresses as they may stand in a log: `o***@example.net`.
//!
//! Mail servers repeat the address in their answers, so whole texts are masked, not only known addresses.

/// The text with every mail address in it masked.
pub(crate) fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut token = String::new();
    for c in text.chars() {
        if c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '"' | '\'' | '`') {
            push_masked(&mut masked, &token);
            token.clear();
            masked.push(c);
        } else {
            token.push(c);
        }
    }
    push_masked(&mut masked, &token);
    masked
}

fn push_masked(masked: &mut String, token: &str) {
    match token.rsplit_once('@') {
        Some((local, domain)) => {
            masked.extend(local.chars().next());
            masked.push_str("***@");
            masked.push_str(domain);
        }
        None => masked.push_str(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_first_letter_and_domain() {
        assert_eq!(mask("ops@example.net"), "o***@example.net");
    }

    #[test]
    fn addresses_inside_a_server_answer_are_masked() {
        assert_eq!(
            mask("550 5.1.1 <ops@example.net>: no user \"a.b+c@example.org\" here"),
            "550 5.1.1 <o***@example.net>: no user \"a***@example.org\" here"
        );
    }

    #[test]
    fn other_text_stays() {
        assert_eq!(mask("451 4.3.0 try again later"), "451 4.3.0 try again later");
    }
}
