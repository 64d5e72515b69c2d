//! Who of two peers leads. Pure: messages and the clock come in as values.
//!
//! Both tell each other every third of the lease who they are and what they do. A leader leads for as long as it is not
//! told otherwise; a standby takes over when it has not heard of a leader for a whole lease, or at once when it hears
//! that the other one does not lead. Each taking of the lead begins a new epoch. Two peers have no third party that could
//! say who is cut off, so both may lead while they cannot hear each other; once they can, the newer epoch stays.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What a peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It does not know yet whether the other one leads.
    Looking,
    /// The other one leads.
    Standby,
    /// It collects.
    Leader,
    /// It stops, and has handed over all that it knows.
    Leaving,
}

/// What a peer says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its name, which the other one does not have.
    pub name: String,
    /// The newest epoch that it knows.
    pub epoch: u64,
    /// What it does.
    pub role: Role,
    /// Which life of it this is, and which word of that life: an older one may come after a newer one.
    pub word: (u64, u64),
}

/// One peer's view.
#[derive(Debug, Clone)]
pub struct Lease {
    name: String,
    length: Duration,
    epoch: u64,
    role: Role,
    /// When it last heard of a leader, or began to look for one.
    since: Instant,
    /// When its clock last moved on.
    ticked: Instant,
    takeovers: u64,
    /// Its last word.
    said: (u64, u64),
    /// The newest word of the other one.
    heard: Option<(u64, u64)>,
}

impl Lease {
    /// Begins to look for a leader. `life` is a larger number at each start; where it is not (a clock that was set back),
    /// the other one does not listen until it is started itself, and leads after a lease.
    pub fn new(name: String, length: Duration, life: u64, now: Instant) -> Self {
        let (role, said) = (Role::Looking, (life, 0));
        Self { name, length, epoch: 0, role, since: now, ticked: now, takeovers: 0, said, heard: None }
    }

    /// What to tell the other one.
    pub fn say(&mut self) -> Status {
        self.said.1 += 1;
        Status { name: self.name.clone(), epoch: self.epoch, role: self.role, word: self.said }
    }

    /// What it does.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The newest epoch that it knows.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How often it took over from the other one.
    pub fn takeovers(&self) -> u64 {
        self.takeovers
    }

    /// Whether it leads. One that was stopped for a lease (a frozen machine, say) has to ask first.
    pub fn leads(&self, now: Instant) -> bool {
        self.role == Role::Leader && now.saturating_duration_since(self.ticked) < self.length
    }

    /// Takes in what the other one said. `at` is a moment at which that was true, or earlier.
    pub fn hear(&mut self, peer: &Status, at: Instant) {
        if self.heard >= Some(peer.word) {
            return;
        }
        self.heard = Some(peer.word);
        let first = self.name < peer.name;
        match (self.role, peer.role) {
            (Role::Leaving, _) => {}
            (Role::Leader, Role::Leader) => {
                if peer.epoch > self.epoch || (peer.epoch == self.epoch && !first) {
                    self.follow(peer, at);
                }
            }
            // It led before and has forgotten: who leads now is the newer one.
            (Role::Leader, _) if peer.epoch > self.epoch => self.epoch = peer.epoch + 1,
            (Role::Leader, _) => {}
            (_, Role::Leader) => self.follow(peer, at),
            (_, Role::Leaving) | (Role::Standby, Role::Looking) => self.lead(peer.epoch),
            // It takes over as soon as it hears that this one does not lead.
            (Role::Looking, Role::Standby) => {}
            (Role::Looking, Role::Looking) | (Role::Standby, Role::Standby) if first => self.lead(peer.epoch),
            (Role::Looking | Role::Standby, _) => {}
        }
    }

    /// The clock moves on; to be called a few times in each lease.
    pub fn tick(&mut self, now: Instant) {
        let stopped = now.saturating_duration_since(self.ticked) >= self.length;
        self.ticked = self.ticked.max(now);
        match self.role {
            // Meanwhile the other one may have taken over.
            Role::Leader if stopped => (self.role, self.since) = (Role::Looking, now),
            // The silence was its own.
            Role::Looking | Role::Standby if stopped => self.since = now,
            Role::Looking | Role::Standby if now.saturating_duration_since(self.since) >= self.length => self.lead(0),
            _ => {}
        }
    }

    /// Leaves the lead to the other one, for good.
    pub fn leave(&mut self) {
        self.role = Role::Leaving;
    }

    fn follow(&mut self, leader: &Status, at: Instant) {
        self.epoch = self.epoch.max(leader.epoch);
        self.since = if self.role == Role::Standby { self.since.max(at) } else { at };
        self.role = Role::Standby;
    }

    fn lead(&mut self, epoch: u64) {
        self.takeovers += u64::from(self.role == Role::Standby);
        self.epoch = self.epoch.max(epoch) + 1;
        self.role = Role::Leader;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn lease(name: &str, now: Instant) -> Lease {
        static LIVES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        Lease::new(name.to_owned(), LEASE, LIVES.fetch_add(1, std::sync::atomic::Ordering::SeqCst), now)
    }

    fn ticked(lease: &mut Lease, from: Instant, seconds: u64) {
        (1..=seconds).for_each(|second| lease.tick(from + Duration::from_secs(second)));
    }

    /// Two that heard each other: `a` leads.
    fn pair(now: Instant) -> (Lease, Lease) {
        let (mut a, mut b) = (lease("a", now), lease("b", now));
        a.hear(&b.say(), now);
        b.hear(&a.say(), now);
        assert_eq!((a.role, b.role), (Role::Leader, Role::Standby));
        (a, b)
    }

    #[test]
    fn the_first_name_leads_when_both_start_at_once() {
        let now = Instant::now();
        let (mut a, mut b) = (lease("a", now), lease("b", now));
        b.hear(&a.say(), now);
        assert!(!b.leads(now));
        a.hear(&b.say(), now);
        assert!(a.leads(now));
    }

    #[test]
    fn whoever_finds_a_leader_is_its_standby() {
        let now = Instant::now();
        let mut b = lease("b", now);
        ticked(&mut b, now, 15);
        let mut a = lease("a", now);
        a.hear(&b.say(), now);
        assert_eq!((a.role, b.role, b.epoch), (Role::Standby, Role::Leader, 1));
    }

    #[test]
    fn without_a_peer_it_leads_after_a_lease() {
        let now = Instant::now();
        let mut a = lease("a", now);
        ticked(&mut a, now, 14);
        assert_eq!(a.role, Role::Looking);
        ticked(&mut a, now, 15);
        assert_eq!((a.role, a.takeovers()), (Role::Leader, 0));
    }

    #[test]
    fn a_standby_takes_over_a_lease_after_the_last_word() {
        let now = Instant::now();
        let (mut a, mut b) = pair(now);
        ticked(&mut b, now, 10);
        b.hear(&a.say(), now + Duration::from_secs(10));
        ticked(&mut b, now, 24);
        assert_eq!(b.role, Role::Standby);
        ticked(&mut b, now, 25);
        assert_eq!((b.role, b.epoch, b.takeovers()), (Role::Leader, 2, 1));
    }

    #[test]
    fn a_standby_takes_over_at_once_from_one_that_leaves_or_was_restarted() {
        let now = Instant::now();
        let (mut a, b) = pair(now);
        let (mut left, mut restarted) = (b.clone(), b);
        a.leave();
        left.hear(&a.say(), now);
        restarted.hear(&lease("a", now).say(), now);
        assert!(left.leads(now) && restarted.leads(now));
        a.hear(&left.say(), now);
        assert_eq!(a.role, Role::Leaving);
    }

    #[test]
    fn the_newer_epoch_stays_after_a_partition() {
        let now = Instant::now();
        let (mut a, mut b) = pair(now);
        ticked(&mut a, now, 20);
        ticked(&mut b, now, 20);
        assert_eq!((a.role, b.role), (Role::Leader, Role::Leader));
        let late = now + Duration::from_secs(20);
        let (of_a, of_b) = (a.say(), b.say());
        a.hear(&of_b, late);
        b.hear(&of_a, late);
        assert_eq!((a.role, b.role), (Role::Standby, Role::Leader));
    }

    #[test]
    fn a_leader_that_was_frozen_asks_before_it_goes_on() {
        let now = Instant::now();
        let (mut a, _) = pair(now);
        let late = now + LEASE;
        assert!(!a.leads(late));
        a.tick(late);
        assert_eq!(a.role, Role::Looking);
    }

    #[test]
    fn a_standby_that_was_frozen_does_not_take_its_own_silence_for_the_leaders() {
        let now = Instant::now();
        let (_, mut b) = pair(now);
        b.tick(now + LEASE * 10);
        assert_eq!(b.role, Role::Standby);
    }

    #[test]
    fn a_word_that_comes_late_does_not_prolong_a_lease() {
        let now = Instant::now();
        let (mut a, mut b) = pair(now);
        let early = a.say();
        b.hear(&a.say(), now + Duration::from_secs(5));
        b.hear(&early, now + Duration::from_secs(6));
        b.hear(&a.say(), now + Duration::from_secs(1));
        assert_eq!(b.since, now + Duration::from_secs(5));
    }

    #[test]
    fn a_word_of_an_earlier_life_is_not_heard() {
        let now = Instant::now();
        let mut before = lease("a", now);
        let late = before.say();
        let (_, mut b) = pair(now);
        b.hear(&late, now);
        assert_eq!(b.role, Role::Standby);
    }

    /// What may happen in a second.
    #[derive(Debug, Clone)]
    enum Event {
        Nothing,
        /// The message does not arrive.
        Lost,
        /// It arrives so many seconds late.
        Late(u64),
        Restart,
        Freeze(u64),
    }

    fn events(seconds: usize) -> impl Strategy<Value = Vec<[Event; 2]>> {
        let event = || {
            prop_oneof![
                20 => Just(Event::Nothing),
                4 => Just(Event::Lost),
                4 => (1..20_u64).prop_map(Event::Late),
                1 => Just(Event::Restart),
                1 => (1..40_u64).prop_map(Event::Freeze),
            ]
        };
        prop::collection::vec([event(), event()], seconds)
    }

    /// Two peers and the messages between them, a second at a time.
    struct World {
        now: Instant,
        second: u64,
        peers: [Lease; 2],
        frozen_until: [u64; 2],
        /// Arrival, to whom, sent when, what.
        wire: Vec<(u64, usize, Instant, Status)>,
    }

    impl World {
        fn new() -> Self {
            let now = Instant::now();
            Self { now, second: 0, peers: [lease("a", now), lease("b", now)], frozen_until: [0; 2], wire: Vec::new() }
        }

        fn step(&mut self, events: &[Event; 2]) {
            self.second += 1;
            self.now += Duration::from_secs(1);
            for (who, event) in events.iter().enumerate() {
                match event {
                    Event::Restart => self.peers[who] = lease(["a", "b"][who], self.now),
                    Event::Freeze(seconds) => self.frozen_until[who] = self.second + seconds,
                    _ => {}
                }
            }
            let awake = |world: &Self, who: usize| world.frozen_until[who] <= world.second;
            for who in 0..2 {
                if awake(self, who) {
                    self.peers[who].tick(self.now);
                }
            }
            let (arrived, wire) = std::mem::take(&mut self.wire).into_iter().partition(|(at, ..)| *at <= self.second);
            self.wire = wire;
            let arrived: Vec<(u64, usize, Instant, Status)> = arrived;
            for (at, to, sent, status) in arrived {
                if awake(self, to) {
                    self.peers[to].hear(&status, sent);
                } else {
                    self.wire.push((at + 1, to, sent, status));
                }
            }
            for (who, event) in events.iter().enumerate() {
                let late = match event {
                    Event::Lost => continue,
                    Event::Late(seconds) => *seconds,
                    _ => 0,
                };
                // Every second: more often than real ones, so that more can go wrong.
                if awake(self, who) {
                    self.wire.push((self.second + 1 + late, 1 - who, self.now, self.peers[who].say()));
                }
            }
        }

        fn leaders(&self) -> usize {
            let leads = |(who, peer): (usize, &Lease)| self.frozen_until[who] <= self.second && peer.leads(self.now);
            self.peers.iter().enumerate().filter(|(who, peer)| leads((*who, peer))).count()
        }
    }

    const CALM: [Event; 2] = [Event::Nothing, Event::Nothing];

    proptest! {
        #[test]
        fn whatever_happened_one_leads_soon_after_it_ends(events in events(120)) {
            let mut world = World::new();
            events.iter().for_each(|events| world.step(events));
            // Frozen for 40 s at most, late for 20 s, then a lease and a few words.
            (0..90).for_each(|_| world.step(&CALM));
            prop_assert_eq!(world.leaders(), 1);
            let epochs = world.peers.each_ref().map(|peer| peer.epoch);
            prop_assert_eq!(epochs[0], epochs[1]);
            let leader = world.peers.each_ref().map(|peer| peer.leads(world.now));
            for _ in 0..60 {
                world.step(&CALM);
                prop_assert_eq!(world.peers.each_ref().map(|peer| peer.leads(world.now)), leader, "it stays");
            }
        }

        #[test]
        fn while_words_arrive_there_are_never_two(late in prop::collection::vec([0..4_u64, 0..4], 200)) {
            let mut world = World::new();
            for late in late {
                world.step(&late.map(|seconds| if seconds == 0 { Event::Nothing } else { Event::Late(seconds) }));
                prop_assert!(world.leaders() <= 1);
            }
            prop_assert_eq!(world.leaders(), 1);
        }

        #[test]
        fn two_that_hear_each_other_never_lead_in_the_same_epoch(events in events(200)) {
            let mut world = World::new();
            let mut heard = 0;
            for events in &events {
                world.step(events);
                let calm = events.iter().all(|event| matches!(event, Event::Nothing));
                let awake = world.frozen_until.iter().all(|until| *until <= world.second);
                heard = if calm && awake { heard + 1 } else { 0 };
                if heard >= 3 && world.leaders() == 2 {
                    prop_assert_ne!(world.peers[0].epoch, world.peers[1].epoch);
                }
            }
        }
    }
}
