//! The running estate: what time it is, what is going on, and who may come in.
//!
//! The model answers any question about any moment; this is where "now" comes from, where a posted scenario joins the
//! time line, and where the newest inventory is kept as long as nothing changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;

use crate::condition::Condition;
use crate::cost::Cost;
use crate::log::Log;
use crate::model::{Model, ModelError, Size, Time};
use crate::objects::Moment;
use crate::scenario::Scenario;
use crate::soap::Value;

/// Requests within so much time see the same estate, which is then put together once.
const STEP: Duration = Duration::from_millis(50);

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where all numbers come from.
    pub seed: u64,
    /// How much there is of what.
    pub size: Size,
    /// When simulated time starts.
    pub origin: Time,
    /// How many simulated seconds pass in a second.
    pub factor: f64,
    /// The only user that may sign in, and the password; none for anyone.
    pub account: Option<(String, String)>,
    /// Costs and limits.
    pub cost: Cost,
}

impl Plan {
    /// An estate whose time starts now and passes `factor` times as fast. Anyone may sign in, and nothing costs anything.
    pub fn starting_now(size: Size, factor: f64) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let origin = Time(i64::try_from(now.as_millis()).unwrap_or_default());
        Self { seed: 1, size, origin, factor, account: None, cost: Cost::off() }
    }
}

/// The running estate.
pub struct Lab {
    /// Costs and limits.
    pub cost: Cost,
    /// Calls under way, when they are limited.
    pub workers: Option<Semaphore>,
    plan: Plan,
    started: Instant,
    world: Mutex<World>,
}

struct World {
    model: Arc<Model>,
    scenarios: Vec<Running>,
    newest: Option<Arc<Moment>>,
    generation: u64,
    log: Log,
    /// Until when the log is written.
    logged: Time,
}

/// A scenario and when it was started.
#[derive(Debug, Clone)]
pub struct Running {
    /// The scenario.
    pub scenario: Scenario,
    /// When its time zero was.
    pub start: Time,
}

impl Lab {
    /// Starts the clock.
    pub fn new(plan: Plan) -> Self {
        let model = Arc::new(Model::new(plan.seed, plan.size, plan.origin));
        let workers = (plan.cost.workers > 0).then(|| Semaphore::new(plan.cost.workers));
        let (log, logged) = (Log::default(), plan.origin);
        let world = World { model, scenarios: Vec::new(), newest: None, generation: 0, log, logged };
        Self { cost: plan.cost.clone(), workers, plan, started: Instant::now(), world: Mutex::new(world) }
    }

    /// Simulated time, in steps; the vCenter's clock may be off.
    pub fn now(&self) -> Time {
        let steps = self.started.elapsed().as_millis() / STEP.as_millis();
        let elapsed = STEP * u32::try_from(steps).unwrap_or(u32::MAX);
        self.plan.origin + elapsed.mul_f64(self.plan.factor)
    }

    /// What the fleet is made of.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether someone may sign in.
    pub fn admits(&self, user: &str, password: &str) -> bool {
        self.plan.account.as_ref().is_none_or(|(name, secret)| name == user && secret == password)
    }

    /// How the vCenter is.
    pub(crate) fn condition(&self) -> Condition {
        Condition::at(self.world().model.events_given(), self.now())
    }

    /// Starts a scenario now. One whose targets do not exist is refused as a whole.
    pub fn start(&self, scenario: Scenario) -> Result<Time, ModelError> {
        let mut world = self.world();
        let start = self.now();
        world.model = Arc::new(world.model.with(scenario.starting(start))?);
        world.scenarios.push(Running { scenario, start });
        world.newest = None;
        Ok(start)
    }

    /// The scenarios that were started.
    pub fn scenarios(&self) -> Vec<Running> {
        self.world().scenarios.clone()
    }

    /// The estate now.
    pub fn moment(&self) -> Arc<Moment> {
        let mut world = self.world();
        let now = self.now();
        if let Some(newest) = &world.newest
            && newest.at == now
        {
            return newest.clone();
        }
        world.write_log(now);
        let condition = Condition::at(world.model.events_given(), now);
        let moment = Arc::new(world.next(now, condition.clock(now), &self.cost));
        world.newest = Some(moment.clone());
        moment
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lab {
    /// Looks into the log of events, up to now.
    pub(crate) fn log<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        let mut world = self.world();
        let now = self.now();
        world.write_log(now);
        look(&mut world.log)
    }
}

impl World {
    fn write_log(&mut self, now: Time) {
        if now > self.logged {
            // Up to, not including, now: a scenario that is started within this step may begin at this very moment.
            let (after, until) = (Time(self.logged.0 - 1), Time(now.0 - 1));
            self.log.extend(self.model.events(after, until));
            self.logged = now;
        }
    }

    /// The inventory is computed anew only when something has changed in it, the numbers only with a new sample.
    fn next(&mut self, at: Time, now: Time, cost: &Cost) -> Moment {
        let options = options(cost);
        let unchanged = self.newest.take().filter(|newest| self.model.changes(newest.at, at).is_empty());
        let Some(newest) = unchanged else {
            self.generation += 1;
            return Moment {
                at,
                now,
                generation: self.generation,
                inventory: Arc::new(self.model.inventory(at)),
                model: self.model.clone(),
                migrations: self.log.migrations(),
                options,
                relations: Arc::default(),
                live: Arc::default(),
            };
        };
        let same_sample = newest.at.tick() == at.tick();
        if !same_sample {
            self.generation += 1;
        }
        Moment {
            at,
            now,
            generation: self.generation,
            inventory: newest.inventory.clone(),
            model: self.model.clone(),
            migrations: self.log.migrations(),
            options,
            relations: newest.relations.clone(),
            live: if same_sample { newest.live.clone() } else { Arc::default() },
        }
    }
}

/// The vCenter's settings, those that clients ask for.
fn options(cost: &Cost) -> Vec<(&'static str, Value)> {
    let int = |number: i64| Value::Typed("int", Box::new(number.into()));
    let timeout = i64::try_from(cost.limits.session_timeout.as_secs() / 60).unwrap_or(i64::MAX);
    vec![
        ("config.vpxd.stats.maxQueryMetrics", int(cost.limits.max_query_metrics)),
        ("config.vmacore.soap.maxSessionCount", int(i64::try_from(cost.limits.max_sessions).unwrap_or(i64::MAX))),
        ("config.vmacore.soap.sessionTimeout", int(timeout)),
        ("VirtualCenter.InstanceName", Value::Typed("string", Box::new("lynceus-fleet".into()))),
    ]
}

/// How long a moment's answer to "are you there" is used: scenario times are whole seconds.
pub(crate) const PULSE: Duration = Duration::from_millis(200);
