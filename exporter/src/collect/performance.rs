//! The samples of one class of objects: asked for in batches, taken into the books as they come.
//!
//! A cycle asks each object for what it has had since its mark. A query that fails loses nothing: the next cycle asks for
//! the same, and more. What takes longer than the interval is left to itself: its objects are *late*, all others are
//! collected on time, and its hosts are asked by themselves from then on, until one of them answers again. So one sick
//! host costs its own VMs and no others.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{sleep, sleep_until};
use tracing::debug;

use super::Estate;
use super::plan::{Batch, batches, targets};
use super::pressure::Pressure;
use super::query::{Answer, query};
use super::{follow, unix_millis, unix_time};
use crate::catalogue::Class;
use crate::state::{Health, Performance};
use crate::vsphere::session::DEFAULT_QUERY_METRICS;
use crate::vsphere::{Client, Error, methods};

/// Queries of sick hosts at the same time: they may keep their connections for as long as a request may take.
const MAX_LATE: usize = 10;

/// Samples of each counter in one answer: what 50 objects have in an hour.
const MAX_SAMPLES: usize = 10_000;

/// Queries in one cycle that are asked again in halves. The next cycle begins with smaller ones anyway.
const MAX_HALVED: usize = 8;

/// Collects one class for as long as it is polled.
pub async fn run(estate: &Arc<Estate>, client: &Arc<Client>, class: Class) {
    let interval = match class {
        Class::Vm => estate.collection.interval,
        Class::Host => estate.collection.host_interval,
        Class::Datastore | Class::Cluster => estate.collection.history_interval,
    };
    let pressure = Pressure::new(&estate.collection, class.counters().len());
    let mut collector = Collector {
        estate: estate.clone(),
        client: client.clone(),
        class,
        interval,
        pressure,
        sick: HashSet::new(),
        proven: HashSet::new(),
        running: JoinSet::new(),
        open: HashMap::new(),
        cycles: 0,
    };
    let mut last_start: Option<Instant> = None;
    loop {
        estate.until_followed().await;
        let start = Instant::now();
        if class.is_rolled_up() {
            collector.limit_history().await;
        }
        let between = last_start.map(|last| start - last);
        last_start = Some(start);
        collector.cycle(start, between).await;
        sleep(interval.saturating_sub(start.elapsed())).await;
    }
}

struct Collector {
    estate: Arc<Estate>,
    client: Arc<Client>,
    class: Class,
    interval: Duration,
    pressure: Pressure,
    /// Hosts that a query failed on, maybe for another's sake.
    sick: HashSet<String>,
    /// Those of them that a query of their own failed on.
    proven: HashSet<String>,
    running: JoinSet<Outcome>,
    /// What the running queries ask, by task.
    open: HashMap<Id, Open>,
    /// How many cycles there were.
    cycles: usize,
}

/// A running query.
struct Open {
    batch: Batch,
    task: AbortHandle,
}

type Outcome = (Result<Vec<Answer>, Error>, Duration);

/// What happened in one cycle.
#[derive(Default)]
struct Tally {
    returned: usize,
    newest: i64,
    slowest: Duration,
    /// Series of the largest answer.
    largest: usize,
    queries: usize,
    failed: usize,
    halved: usize,
    first_error: Option<Error>,
}

impl Collector {
    async fn cycle(&mut self, start: Instant, between: Option<Duration>) {
        let (mut tally, mut late, mut expected) = (Tally::default(), 0, 0);
        match self.server_now().await {
            Err(error) => tally.first_error = Some(error),
            Ok(server_now) => {
                self.reap(&mut tally);
                let queue = self.plan(server_now);
                let busy: HashSet<&str> = self.open.values().flat_map(|open| open.batch.ids()).collect();
                late = busy.len();
                expected = late + queue.iter().map(|batch| batch.targets.len()).sum::<usize>();
                self.work_off(queue, server_now, start, &mut tally).await;
                late = late.max(self.open.values().map(|open| open.batch.targets.len()).sum());
                let age = (tally.newest > 0).then(|| (server_now - tally.newest) as f64 / 1000.0);
                self.finish(start, between, expected, late, age, tally);
                return;
            }
        }
        self.finish(start, between, expected, late, None, tally);
    }

    /// Queries of roll-ups go to vCenter's database, which allows so many metrics in one of them.
    async fn limit_history(&mut self) {
        let client = &self.client;
        let asked = client.within_session(|session| async move { session.max_query_metrics(client.transport()).await });
        // Where that fails, so will the queries, and say why.
        let metrics = asked.await.unwrap_or(DEFAULT_QUERY_METRICS);
        let objects = metrics / self.class.counters().len().max(1);
        // The counters of a cluster are added up from its hosts, and each of these counts.
        self.pressure.limit(if self.class == Class::Cluster { 1 } else { objects });
    }

    /// The server's clock: marks and samples are of it.
    async fn server_now(&self) -> Result<i64, Error> {
        let client = &self.client;
        let before = unix_millis();
        let server = client
            .within_session(|session| async move { methods::current_time(client.transport(), &session).await })
            .await?;
        let mut state = self.estate.state();
        state.answered(Instant::now());
        // The inventory is followed without a word while nothing changes; this says that vCenter is still there.
        state.goes_on(follow::COLLECTOR, unix_time());
        // Half of the time that the answer took was on the way to the server.
        state.clock_skew = Some((server - (before + unix_millis()) / 2) as f64 / 1000.0);
        Ok(server)
    }

    /// Takes what came late, between two cycles.
    fn reap(&mut self, tally: &mut Tally) {
        while let Some(done) = self.running.try_join_next_with_id() {
            let Some((id, outcome)) = outcome(done) else { continue };
            // Halves need not be asked: what they would ask is planned anew.
            self.done(id, outcome, &mut VecDeque::new(), tally);
        }
    }

    fn plan(&mut self, server_now: i64) -> VecDeque<Batch> {
        let Some(inventory) = self.estate.state().last_inventory().cloned() else { return VecDeque::new() };
        let (mut targets, paused) = targets(self.class, &inventory, &self.estate.terms);
        let mut books = self.estate.books();
        let ledger = books.ledger_mut(self.class);
        paused.iter().for_each(|id| ledger.pause(id));
        if self.estate.stands_in.is_none() {
            // One host whose clock is off must not close the books of all others.
            ledger.forget(server_now);
        }
        let busy: HashSet<&str> = self.open.values().flat_map(|open| open.batch.ids()).collect();
        targets.retain(|target| !busy.contains(target.id.as_str()));
        let length = 1000 * i64::from(self.class.sample_interval());
        let samples = targets.iter().map(|target| match ledger.after(&target.id, server_now) {
            Some(after) => (server_now - after) / length,
            None => i64::from(ledger.newest(&target.id, server_now)),
        });
        // After an outage there are up to an hour of samples to each object: fewer objects make the same answer.
        let samples = samples.max().unwrap_or(1);
        let most = MAX_SAMPLES / usize::try_from(samples).unwrap_or(1).max(1);
        drop(books);
        let mut hosts: HashSet<&str> = targets.iter().map(|target| target.host.as_str()).collect();
        hosts.extend(self.open.values().flat_map(|open| &open.batch.targets).map(|target| target.host.as_str()));
        self.sick.retain(|host| hosts.contains(host.as_str()));
        self.proven.retain(|host| self.sick.contains(host));
        let mut batches = batches(targets, self.pressure.batch.min(most.max(1)), &self.sick);
        // Where there are more sick hosts than are asked at a time, each has its turn.
        self.cycles += 1;
        let first_sick = batches.iter().position(|batch| batch.of_sick_host).unwrap_or(batches.len());
        let of_sick = &mut batches[first_sick..];
        of_sick.rotate_left((self.cycles * MAX_LATE).checked_rem(of_sick.len()).unwrap_or_default());
        batches.into()
    }

    /// Until all is asked and answered, but for what takes longer than the interval.
    async fn work_off(&mut self, mut queue: VecDeque<Batch>, server_now: i64, start: Instant, tally: &mut Tally) {
        let mut deadline = tokio::time::Instant::from_std(start + self.interval);
        let mut late: HashSet<Id> = self.open.keys().copied().collect();
        loop {
            while self.open.len() - late.len() < self.pressure.in_flight
                && let Some(batch) = self.next(&mut queue)
            {
                self.ask(batch, server_now);
            }
            if self.open.len() == late.len() {
                return;
            }
            tokio::select! {
                done = self.running.join_next_with_id() => {
                    let Some(done) = done else { return };
                    let Some((id, outcome)) = outcome(done) else { continue };
                    late.remove(&id);
                    self.done(id, outcome, &mut queue, tally);
                    if tally.first_error.as_ref().is_some_and(Error::is_no_connection) {
                        // The rest would only wait, or try a wrong password again.
                        queue.clear();
                    }
                }
                () = sleep_until(deadline) => {
                    deadline += self.interval;
                    self.give_up_waiting(&mut queue);
                    late = self.open.keys().copied().collect();
                }
            }
        }
    }

    /// The next query. Those of hosts that are proven sick wait for each other: nobody else waits for them. Those of
    /// hosts that may be well do not, as long as there are connections.
    fn next(&self, queue: &mut VecDeque<Batch>) -> Option<Batch> {
        let connections = self.client.transport().config().max_connections;
        let of_sick = self.open.values().filter(|open| open.batch.of_sick_host).count();
        let may_be_asked = |batch: &Batch| {
            let proven = batch.targets.iter().any(|target| self.proven.contains(&target.host));
            let most = if proven { MAX_LATE.min(connections / 4) } else { connections / 3 };
            !batch.of_sick_host || of_sick < most.max(1)
        };
        queue.iter().position(may_be_asked).and_then(|place| queue.remove(place))
    }

    /// What is still open is not waited for any more. The hosts of all running queries are asked by themselves from now
    /// on: at once where several shared a query, since all but one of them would answer.
    fn give_up_waiting(&mut self, queue: &mut VecDeque<Batch>) {
        queue.retain(|batch| !batch.of_sick_host);
        let shared: Vec<Id> =
            self.open.iter().filter(|(_, open)| open.batch.hosts().len() > 1).map(|(id, _)| *id).collect();
        self.sick.extend(self.open.values().flat_map(|open| open.batch.hosts()));
        let own = self.open.values().filter(|open| open.batch.of_sick_host);
        self.proven.extend(own.flat_map(|open| open.batch.hosts()));
        for open in shared.iter().filter_map(|id| self.open.remove(id)) {
            open.task.abort();
            self.pressure.too_much(open.batch.targets.len());
            queue.extend(batches(open.batch.targets, self.pressure.batch, &self.sick));
        }
        debug!(vcenter = self.estate.name, hosts = self.sick.len(), "queries take longer than the interval");
    }

    fn ask(&mut self, batch: Batch, server_now: i64) {
        let (estate, client, class) = (self.estate.clone(), self.client.clone(), self.class);
        let asked = batch.clone();
        let task = self.running.spawn(async move {
            let start = Instant::now();
            (query(&estate, &client, class, asked, server_now).await, start.elapsed())
        });
        self.open.insert(task.id(), Open { batch, task });
    }

    fn done(&mut self, id: Id, (outcome, duration): Outcome, queue: &mut VecDeque<Batch>, tally: &mut Tally) {
        let Some(Open { batch, .. }) = self.open.remove(&id) else { return };
        tally.slowest = tally.slowest.max(duration);
        tally.queries += 1;
        match outcome {
            Ok(answers) => {
                let well = batch.hosts();
                self.sick.retain(|host| !well.contains(host));
                self.proven.retain(|host| !well.contains(host));
                self.take(answers, tally);
            }
            Err(error) => {
                tally.failed += 1;
                if error.is_overload() && !batch.of_sick_host {
                    self.pressure.too_much(batch.targets.len());
                    debug!(
                        vcenter = self.estate.name,
                        error = error.chain(),
                        objects = batch.targets.len(),
                        "too much"
                    );
                    if error.is_timeout() {
                        // Halves would take as long again: the hosts are asked one by one in the next cycle.
                        self.sick.extend(batch.hosts());
                    } else if tally.halved < MAX_HALVED
                        && let Some(halves) = batch.halves()
                    {
                        tally.halved += 1;
                        tally.failed -= 1;
                        halves.into_iter().rev().for_each(|half| queue.push_front(half));
                        return;
                    }
                }
                tally.first_error.get_or_insert(error);
            }
        }
    }

    fn take(&mut self, answers: Vec<Answer>, tally: &mut Tally) {
        let now = Instant::now();
        self.estate.state().answered(now);
        let mut books = self.estate.books();
        let ledger = books.ledger_mut(self.class);
        let mut unpaired = 0;
        tally.largest = tally.largest.max(answers.iter().map(|answer| answer.found.series.len()).sum());
        for Answer { id, found, request } in answers {
            let taken = ledger.take(&id, &found, |counter, device| request.place(counter, device), now);
            tally.newest = tally.newest.max(taken.newest);
            tally.returned += usize::from(!found.times.is_empty());
            unpaired += found.unpaired;
        }
        drop(books);
        self.estate.metrics.unpaired_series(&self.estate.name, unpaired);
    }

    fn finish(
        &mut self,
        start: Instant,
        between: Option<Duration>,
        expected: usize,
        late: usize,
        sample_age: Option<f64>,
        tally: Tally,
    ) {
        let duration = start.elapsed();
        if tally.first_error.is_none() && late == 0 {
            self.pressure.calm(tally.slowest, tally.largest);
        }
        if self.class == Class::Vm && tally.returned > 0 {
            self.estate.samples_came.notify_one();
        }
        let error = tally.first_error.map(|error| match tally.queries {
            0 => error.chain(),
            queries => format!("{} of {queries} batches failed, the first: {}", tally.failed, error.chain()),
        });
        let error = error.or_else(|| (late > 0).then(|| format!("{late} objects are late: their queries are open")));
        let (samples, missing) = {
            let mut state = self.estate.state();
            state.set_interval(self.class, self.interval.max(duration));
            state.ledger(self.class).totals()
        };
        self.estate.note(Health {
            collector: self.class.collector(),
            error,
            duration,
            interval: between,
            performance: Some(Performance {
                expected,
                returned: tally.returned,
                late,
                sample_age,
                batch_size: self.pressure.batch,
                in_flight: self.pressure.in_flight,
                sick_hosts: self.sick.len(),
                samples,
                missing,
            }),
            ..Health::default()
        });
    }
}

/// `None` of a query that was given up.
fn outcome(done: Result<(Id, Outcome), JoinError>) -> Option<(Id, Outcome)> {
    match done {
        Ok(done) => Some(done),
        Err(stopped) if stopped.is_cancelled() => None,
        Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
    }
}
