//! Who gets which alerts of a notification.

use std::collections::BTreeMap;

use lettre::message::Mailbox;

use crate::config::Recipients;
use crate::webhook::Alert;

/// Alerts for one recipient: one mail.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Delivery<'a> {
    pub(crate) recipient: &'a Mailbox,
    /// Indexes into the notification's alerts, ascending.
    pub(crate) alerts: Vec<usize>,
    pub(crate) cause: Cause,
}

/// Why a recipient gets a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The alerts are its own.
    Routed,
    /// The mail server refuses those to whom the alerts belong.
    Fallback,
}

/// What became of a delivery, as far as the next step depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The mail server has it, now or since an earlier try.
    Yes,
    /// A later try may succeed.
    NotYet,
    /// The server refuses this recipient for good.
    Never,
}

/// One delivery a recipient: alerts of a team that has a list go to that list, all others to the default one.
pub(crate) fn plan<'a>(alerts: &[Alert], recipients: &'a Recipients) -> Vec<Delivery<'a>> {
    let lists = alerts.iter().enumerate().map(|(index, alert)| {
        let team = alert.label("team").and_then(|team| recipients.teams.get(team));
        (index, team.unwrap_or(&recipients.default))
    });
    by_recipient(lists, Cause::Routed)
}

/// Deliveries to the default list, of the alerts that no recipient has got and none will get: without these
/// they would be lost while Alertmanager waits for somebody to correct an address.
pub(crate) fn fallback<'a>(
    tried: &[(Delivery<'a>, Reached)],
    alerts: usize,
    recipients: &'a Recipients,
) -> Vec<Delivery<'a>> {
    let lost = (0..alerts).filter(|index| {
        tried.iter().all(|(delivery, reached)| *reached == Reached::Never || !delivery.alerts.contains(index))
    });
    let mut deliveries = by_recipient(lost.map(|index| (index, &recipients.default)), Cause::Fallback);
    // An alert of the default list has just been refused there.
    deliveries.retain_mut(|delivery| {
        delivery.alerts.retain(|index| {
            !tried.iter().any(|(d, _)| d.recipient.email == delivery.recipient.email && d.alerts.contains(index))
        });
        !delivery.alerts.is_empty()
    });
    deliveries
}

fn by_recipient<'a>(lists: impl Iterator<Item = (usize, &'a Vec<Mailbox>)>, cause: Cause) -> Vec<Delivery<'a>> {
    let mut deliveries: BTreeMap<String, Delivery<'a>> = BTreeMap::new();
    for (index, list) in lists {
        for recipient in list {
            deliveries
                .entry(recipient.email.to_string())
                .or_insert_with(|| Delivery { recipient, alerts: Vec::new(), cause })
                .alerts
                .push(index);
        }
    }
    deliveries.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipients() -> Recipients {
        let list = |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect::<Vec<_>>();
        Recipients {
            default: list(&["ops@example.net"]),
            teams: BTreeMap::from([
                ("red".to_owned(), list(&["red@example.net", "both@example.net"])),
                ("blue".to_owned(), list(&["both@example.net"])),
                ("ops".to_owned(), list(&["ops@example.net"])),
            ]),
        }
    }

    fn alerts(teams: &[&str]) -> Vec<Alert> {
        let alert = |team: &&str| {
            let mut alert = crate::webhook::parse(crate::webhook::tests::BODY.as_bytes()).unwrap().alerts.remove(0);
            alert.labels.insert("team".to_owned(), (*team).to_owned());
            alert
        };
        teams.iter().map(alert).collect()
    }

    fn print(deliveries: &[Delivery<'_>]) -> Vec<String> {
        deliveries.iter().map(|d| format!("{} {:?} {:?}", d.recipient.email, d.alerts, d.cause)).collect()
    }

    #[test]
    fn alerts_go_to_their_team_and_others_to_the_default() {
        let recipients = recipients();
        assert_eq!(
            print(&plan(&alerts(&["red", "blue", "green", ""]), &recipients)),
            ["both@example.net [0, 1] Routed", "ops@example.net [2, 3] Routed", "red@example.net [0] Routed",]
        );
    }

    fn check_fallback(teams: &[&str], reached: &[Reached], expected: &[&str]) {
        let recipients = recipients();
        let alerts = alerts(teams);
        let tried: Vec<_> = plan(&alerts, &recipients).into_iter().zip(reached.iter().copied()).collect();
        assert_eq!(print(&fallback(&tried, alerts.len(), &recipients)), expected);
    }

    #[test]
    fn an_alert_that_nobody_of_its_team_can_get_falls_back() {
        // both@, red@
        check_fallback(&["red"], &[Reached::Never, Reached::Never], &["ops@example.net [0] Fallback"]);
    }

    #[test]
    fn an_alert_that_somebody_got_or_may_still_get_does_not_fall_back() {
        check_fallback(&["red"], &[Reached::Never, Reached::Yes], &[]);
        check_fallback(&["red"], &[Reached::NotYet, Reached::Never], &[]);
    }

    #[test]
    fn only_the_lost_alerts_fall_back() {
        // both@ has alerts 0 and 1, red@ only 0.
        check_fallback(&["red", "blue"], &[Reached::Never, Reached::Yes], &["ops@example.net [1] Fallback"]);
    }

    #[test]
    fn the_default_list_is_not_tried_twice() {
        check_fallback(&["ops"], &[Reached::Never], &[]);
    }
}
