//! Who may see what.

use lynceus_promql::{Matcher, MatcherOp, escape_regex};

/// Longest name of a user or team in bytes.
const MAX_NAME: usize = 64;

/// A user, as far as everyone may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    /// Each once, in order.
    pub(crate) teams: Vec<String>,
    pub(crate) platform: bool,
}

/// What of the series a user may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Everything,
    Matching(Matcher),
    Nothing,
}

impl User {
    pub(crate) fn scope(&self, label: &str) -> Scope {
        if self.platform {
            return Scope::Everything;
        }
        match self.teams.as_slice() {
            [] => Scope::Nothing,
            [team] => Scope::Matching(Matcher::new(label, MatcherOp::Equal, team)),
            teams => {
                let names: Vec<_> = teams.iter().map(|team| escape_regex(team)).collect();
                Scope::Matching(Matcher::new(label, MatcherOp::Regex, names.join("|")))
            }
        }
    }
}

/// The name as it is stored: what a person types may differ in case and in blanks around it.
pub(crate) fn user_name(typed: &str) -> Option<String> {
    let name = typed.trim().to_ascii_lowercase();
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-' | b'@');
    let is_name = !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(fits);
    (is_name && name.starts_with(|c: char| c.is_ascii_alphanumeric())).then_some(name)
}

/// Any value of the label may be a team, but an empty one: that is a series without the label.
pub(crate) fn is_team(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control) && name.trim() == name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(teams: &[&str], platform: bool) -> User {
        User { name: "alice".to_owned(), teams: teams.iter().map(|t| (*t).to_owned()).collect(), platform }
    }

    #[track_caller]
    fn check(teams: &[&str], matcher: &str) {
        match user(teams, false).scope("team") {
            Scope::Matching(found) => assert_eq!(found.to_string(), matcher),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_team_is_an_equality_and_several_are_a_regular_expression() {
        check(&["red"], r#"team="red""#);
        check(&["blue", "red"], r#"team=~"blue|red""#);
    }

    #[test]
    fn names_of_teams_are_taken_literally() {
        check(&[".*"], r#"team=".*""#);
        check(&[".*", "a|b"], r#"team=~"\\.\\*|a\\|b""#);
        check(&["a", "x\"} or up{"], r#"team=~"a|x\"\\} or up\\{""#);
    }

    #[test]
    fn the_platform_sees_everything_and_nobody_s_user_nothing() {
        assert_eq!(user(&["red"], true).scope("team"), Scope::Everything);
        assert_eq!(user(&[], false).scope("team"), Scope::Nothing);
    }

    #[test]
    fn names_are_one_spelling() {
        assert_eq!(user_name(" Alice@Example.net ").as_deref(), Some("alice@example.net"));
        for bad in ["", " ", "a b", "-a", "ä", "a\0", &"a".repeat(65)] {
            assert_eq!(user_name(bad), None, "{bad:?}");
        }
        assert!(is_team("Team Rot") && !is_team("") && !is_team(" a") && !is_team("a\n"));
    }
}
