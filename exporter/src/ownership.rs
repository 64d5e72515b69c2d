//! Whose VM it is, and how important: the first rule that matches and says it.

use std::collections::{BTreeMap, HashMap};

use regex::Regex;

/// Team of a VM that no rule matches.
pub const UNOWNED: &str = "unowned";

/// Rules in the order they are tried.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ownership {
    rules: Vec<Rule>,
}

/// What a rule says of the VMs that meet all of its conditions.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Whose they are. `${name}` stands for the group of that name in one of the patterns.
    pub team: Option<String>,
    /// How important they are.
    pub tier: Option<String>,
    /// What they have to be.
    pub conditions: Vec<Condition>,
}

/// What a VM has to be.
#[derive(Debug, Clone)]
pub struct Condition {
    subject: Subject,
    pattern: Regex,
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The family of the guest's operating system: `linux`, `windows` or `other`.
    Os,
    /// Whose the VM is.
    Team,
    /// How important it is.
    Tier,
    /// The VM's name.
    Name,
    /// The path of its folder.
    Folder,
    /// The path of its resource pool.
    ResourcePool,
    /// Each of its tags in this category.
    Tag(String),
    /// Its custom attribute of this name.
    Attribute(String),
}

/// What the rules may look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The family of the guest's operating system.
    pub os: &'a str,
    /// Whose it is, once that is known.
    pub team: &'a str,
    /// How important it is, once that is known.
    pub tier: &'a str,
    /// The VM's name.
    pub name: &'a str,
    /// The path of its folder.
    pub folder: &'a str,
    /// The path of its resource pool.
    pub resource_pool: &'a str,
    /// Category and name of its tags.
    pub tags: &'a [(String, String)],
    /// Its custom attributes.
    pub attributes: &'a BTreeMap<String, String>,
}

/// What the rules say of a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Whose it is.
    pub team: String,
    /// How important it is; empty where no rule says it.
    pub tier: String,
    /// The rule that says whose it is, counted from 0.
    pub team_rule: Option<usize>,
    /// The rule that says how important it is.
    pub tier_rule: Option<usize>,
}

impl Condition {
    /// The pattern has to match the whole text, as in Prometheus.
    pub fn new(subject: Subject, pattern: &str) -> Result<Self, regex::Error> {
        // Compiled alone first: `a)(b` would be valid between the parentheses below, and mean something else.
        Regex::new(pattern)?;
        Ok(Self { subject, pattern: Regex::new(&format!(r"\A(?:{pattern})\z"))? })
    }

    /// Whether all of these hold.
    pub fn all_hold(conditions: &[Self], facts: &Facts<'_>) -> bool {
        let mut groups = HashMap::new();
        conditions.iter().all(|condition| condition.holds(facts, &mut groups))
    }

    /// Whether it looks at tags.
    pub fn is_of_tags(&self) -> bool {
        matches!(self.subject, Subject::Tag(_))
    }

    /// Whether it looks at custom attributes.
    pub fn is_of_attributes(&self) -> bool {
        matches!(self.subject, Subject::Attribute(_))
    }

    /// The names of the pattern's groups.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.pattern.capture_names().flatten()
    }

    /// Whether it holds; if so, adds the groups of the pattern.
    fn holds(&self, facts: &Facts<'_>, groups: &mut HashMap<String, String>) -> bool {
        let mut texts: Box<dyn Iterator<Item = &str>> = match &self.subject {
            Subject::Os => Box::new(std::iter::once(facts.os)),
            Subject::Team => Box::new(std::iter::once(facts.team)),
            Subject::Tier => Box::new(std::iter::once(facts.tier)),
            Subject::Name => Box::new(std::iter::once(facts.name)),
            Subject::Folder => Box::new(std::iter::once(facts.folder)),
            Subject::ResourcePool => Box::new(std::iter::once(facts.resource_pool)),
            Subject::Tag(category) => {
                let tags = facts.tags.iter().filter(move |(of, _)| of == category);
                Box::new(tags.map(|(_, name)| name.as_str()))
            }
            Subject::Attribute(name) => Box::new(facts.attributes.get(name).map(String::as_str).into_iter()),
        };
        let Some(found) = texts.find_map(|text| self.pattern.captures(text)) else { return false };
        for name in self.pattern.capture_names().flatten() {
            if let Some(group) = found.name(name) {
                groups.insert(name.to_owned(), group.as_str().to_owned());
            }
        }
        true
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.subject == other.subject && self.pattern.as_str() == other.pattern.as_str()
    }
}

impl Ownership {
    /// Rules in the order they are tried.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// How important a tier is: a lower number is more. As important as the first rule that names it is early.
    pub fn tier_rank(&self, tier: &str) -> usize {
        let named = self.rules.iter().position(|rule| rule.tier.as_deref() == Some(tier));
        named.unwrap_or(self.rules.len())
    }

    /// Whether tags have to be known before anything can be said.
    pub fn needs_tags(&self) -> bool {
        self.conditions().any(Condition::is_of_tags)
    }

    /// Whether custom attributes are looked at.
    pub fn needs_attributes(&self) -> bool {
        self.conditions().any(Condition::is_of_attributes)
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.rules.iter().flat_map(|rule| &rule.conditions)
    }

    /// Whose a VM is of which only the name is known; `None` where that hangs on something else. A tier that does is
    /// left open.
    pub fn by_name(&self, name: &str) -> Option<Owner> {
        let attributes = BTreeMap::new();
        let facts = Facts {
            os: "",
            team: "",
            tier: "",
            name,
            folder: "",
            resource_pool: "",
            tags: &[],
            attributes: &attributes,
        };
        let (mut team, mut tier) = (None, None);
        for (place, rule) in self.rules.iter().enumerate() {
            let mut groups = HashMap::new();
            let by_name = |condition: &&Condition| condition.subject == Subject::Name;
            if !rule.conditions.iter().filter(by_name).all(|condition| condition.holds(&facts, &mut groups)) {
                continue;
            }
            let decided = rule.conditions.iter().all(|condition| by_name(&condition));
            if team.is_none()
                && let Some(of) = &rule.team
            {
                if !decided {
                    return None;
                }
                team = Some(fill(of, &groups)).filter(|team| !team.is_empty()).map(|team| (team, place));
            }
            if tier.is_none()
                && let Some(of) = &rule.tier
            {
                tier = Some((if decided { of.clone() } else { String::new() }, decided.then_some(place)));
            }
        }
        let (team, team_rule) = team.unzip();
        let (tier, tier_rule) = tier.unwrap_or_default();
        Some(Owner { team: team.unwrap_or_else(|| UNOWNED.to_owned()), tier, team_rule, tier_rule })
    }

    /// Whose this VM is.
    pub fn of(&self, facts: &Facts<'_>) -> Owner {
        let (mut team, mut tier) = (None, None);
        for (place, rule) in self.rules.iter().enumerate() {
            let says_more = (team.is_none() && rule.team.is_some()) || (tier.is_none() && rule.tier.is_some());
            if !says_more {
                continue;
            }
            let mut groups = HashMap::new();
            if rule.conditions.iter().all(|condition| condition.holds(facts, &mut groups)) {
                let filled = || Some(fill(rule.team.as_deref()?, &groups)).filter(|team| !team.is_empty());
                team = team.or_else(|| Some((filled()?, place)));
                tier = tier.or_else(|| Some((rule.tier.clone()?, place)));
            }
            if team.is_some() && tier.is_some() {
                break;
            }
        }
        let (team, team_rule) = team.unzip();
        let (tier, tier_rule) = tier.unzip();
        let team = team.unwrap_or_else(|| UNOWNED.to_owned());
        Owner { team, tier: tier.unwrap_or_default(), team_rule, tier_rule }
    }
}

/// `${name}` becomes the group of that name.
fn fill(template: &str, groups: &HashMap<String, String>) -> String {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, name, after)) = placeholder(rest) {
        text.push_str(before);
        text.push_str(groups.get(name).map_or("", String::as_str));
        rest = after;
    }
    text.push_str(rest);
    text
}

/// The first `${name}` of a template: what is before it, the name, what is after it.
pub fn placeholder(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once("${")?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `subject=pattern` conditions and the team that they give.
    fn rule(team: &str, conditions: &[(Subject, &str)]) -> Rule {
        let condition = |(subject, pattern): &(Subject, &str)| Condition::new(subject.clone(), pattern).unwrap();
        Rule { team: Some(team.to_owned()), tier: None, conditions: conditions.iter().map(condition).collect() }
    }

    fn by_name(team: &str, pattern: &str) -> Rule {
        rule(team, &[(Subject::Name, pattern)])
    }

    fn owner(rules: Vec<Rule>, name: &str, folder: &str, tags: &[(&str, &str)]) -> Owner {
        let tags: Vec<_> = tags.iter().map(|(category, tag)| ((*category).to_owned(), (*tag).to_owned())).collect();
        let attributes = BTreeMap::from([("Cost".to_owned(), "4711".to_owned())]);
        let facts = Facts {
            os: "linux",
            team: "",
            tier: "",
            name,
            folder,
            resource_pool: "/",
            tags: &tags,
            attributes: &attributes,
        };
        Ownership::new(rules).of(&facts)
    }

    fn check(rules: Vec<Rule>, name: &str, expected: &str) {
        assert_eq!(owner(rules, name, "/", &[]).team, expected);
    }

    #[test]
    fn the_first_match_wins() {
        check(vec![by_name("red", "db-.*"), by_name("blue", ".*")], "db-1", "red");
        check(vec![by_name("red", "db-.*"), by_name("blue", ".*")], "web-1", "blue");
    }

    #[test]
    fn a_pattern_matches_the_whole_name() {
        check(vec![by_name("red", "db")], "db-1", UNOWNED);
        check(vec![by_name("red", "a|b")], "ab", UNOWNED);
        check(vec![by_name("red", "a|b")], "b", "red");
        check(vec![by_name("red", "db")], "db\n", UNOWNED);
    }

    #[test]
    fn a_vm_without_a_rule_is_unowned() {
        check(vec![], "db-1", UNOWNED);
        assert_eq!(owner(vec![by_name("red", "db")], "web", "/", &[]).team_rule, None);
    }

    #[test]
    fn parentheses_cannot_break_out_of_the_anchors() {
        assert!(Condition::new(Subject::Name, "a)(b").is_err());
    }

    #[test]
    fn all_conditions_have_to_hold() {
        let both = || vec![rule("red", &[(Subject::Name, "db.*"), (Subject::Folder, "/prod(/.*)?")])];
        assert_eq!(owner(both(), "db-1", "/prod/x", &[]).team, "red");
        assert_eq!(owner(both(), "db-1", "/test", &[]).team, UNOWNED);
        assert_eq!(owner(both(), "web", "/prod", &[]).team, UNOWNED);
    }

    #[test]
    fn a_team_can_be_the_text_of_a_tag_or_a_folder() {
        let by_tag = vec![rule("${team}", &[(Subject::Tag("owner".to_owned()), "(?<team>.+)")])];
        assert_eq!(owner(by_tag.clone(), "vm", "/", &[("env", "prod"), ("owner", "green")]).team, "green");
        assert_eq!(owner(by_tag, "vm", "/", &[("env", "prod")]).team, UNOWNED);
        let by_folder = vec![rule("t-${team}", &[(Subject::Folder, "/(?<team>[^/]+)(/.*)?")])];
        assert_eq!(owner(by_folder, "vm", "/blue/x", &[]).team, "t-blue");
    }

    #[test]
    fn a_name_alone_says_it_where_no_rule_before_asks_for_more() {
        let team = |rules: Vec<Rule>, name| Ownership::new(rules).by_name(name).map(|owner| owner.team);
        let by_folder = || rule("green", &[(Subject::Name, "db.*"), (Subject::Folder, "/prod")]);
        let rules = || vec![by_name("red", "web.*"), by_folder(), by_name("blue", ".*")];
        assert_eq!(team(rules(), "web-1").as_deref(), Some("red"));
        assert_eq!(team(rules(), "db-1"), None);
        assert_eq!(team(rules(), "x").as_deref(), Some("blue"));
        assert_eq!(team(vec![], "x").as_deref(), Some(UNOWNED));
        assert_eq!(team(vec![rule("green", &[(Subject::Tag("t".to_owned()), ".*")])], "x"), None);
    }

    #[test]
    fn a_tier_that_hangs_on_more_than_the_name_is_left_open() {
        let tier = |tier: &str, subject| {
            let conditions = vec![Condition::new(subject, ".*").unwrap()];
            Rule { team: None, tier: Some(tier.to_owned()), conditions }
        };
        let rules = vec![tier("1", Subject::Folder), tier("2", Subject::Name), by_name("red", "x")];
        let owner = Ownership::new(rules).by_name("x").unwrap();
        assert_eq!((owner.team.as_str(), owner.tier.as_str()), ("red", ""));
    }

    #[test]
    fn team_and_tier_may_come_from_two_rules() {
        let tier = Rule { team: None, tier: Some("1".to_owned()), conditions: vec![] };
        let attribute = rule("red", &[(Subject::Attribute("Cost".to_owned()), "47.*")]);
        let found = owner(vec![tier, attribute], "vm", "/", &[]);
        assert_eq!((found.team.as_str(), found.tier.as_str()), ("red", "1"));
        assert_eq!((found.team_rule, found.tier_rule), (Some(1), Some(0)));
    }
}
