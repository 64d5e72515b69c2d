//! Whose VM it is: the first rule whose pattern matches the whole name.

use regex::Regex;

/// Team of a VM that no rule matches.
pub const UNOWNED: &str = "unowned";

/// Rules in the order they are tried.
#[derive(Debug, Clone, Default)]
pub struct Ownership {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    team: String,
    vm_name: Regex,
}

impl Ownership {
    /// Adds a rule after the others. The pattern has to match the whole name, as in Prometheus.
    pub fn push(&mut self, team: String, pattern: &str) -> Result<(), regex::Error> {
        // Compiled alone first: `a)(b` would be valid between the parentheses below, and mean something else.
        Regex::new(pattern)?;
        self.rules.push(Rule { team, vm_name: Regex::new(&format!(r"\A(?:{pattern})\z"))? });
        Ok(())
    }

    /// The team that owns the VM with this name.
    pub fn team(&self, vm_name: &str) -> &str {
        let rule = self.rules.iter().find(|rule| rule.vm_name.is_match(vm_name));
        rule.map_or(UNOWNED, |rule| &rule.team)
    }
}

impl PartialEq for Ownership {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Rule, &Rule)| a.team == b.team && a.vm_name.as_str() == b.vm_name.as_str();
        self.rules.len() == other.rules.len() && self.rules.iter().zip(&other.rules).all(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &[(&str, &str)], vm: &str, expected: &str) {
        let mut ownership = Ownership::default();
        for (team, pattern) in rules {
            ownership.push((*team).to_owned(), pattern).unwrap();
        }
        assert_eq!(ownership.team(vm), expected);
    }

    #[test]
    fn the_first_match_wins() {
        check(&[("red", "db-.*"), ("blue", ".*")], "db-1", "red");
        check(&[("red", "db-.*"), ("blue", ".*")], "web-1", "blue");
    }

    #[test]
    fn a_pattern_matches_the_whole_name() {
        check(&[("red", "db")], "db-1", UNOWNED);
        check(&[("red", "a|b")], "ab", UNOWNED);
        check(&[("red", "a|b")], "b", "red");
        check(&[("red", "db")], "db\n", UNOWNED);
    }

    #[test]
    fn a_vm_without_a_rule_is_unowned() {
        check(&[], "db-1", UNOWNED);
    }

    #[test]
    fn parentheses_cannot_break_out_of_the_anchors() {
        assert!(Ownership::default().push("red".to_owned(), "a)(b").is_err());
    }
}
