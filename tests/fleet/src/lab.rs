//! The running estate: what time it is, what is going on, and who may come in.
//!
//! The model answers any question about any moment; this is where "now" comes from, where a posted scenario joins the
//! time line, and where the newest inventory is kept as long as nothing changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::condition::Condition;
use crate::cost::Cost;
use crate::model::{Model, ModelError, Size, Time};
use crate::objects::Moment;
use crate::scenario::{Event, Scenario};
use crate::soap::Value;

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
    events: Vec<Event>,
    scenarios: Vec<Running>,
    newest: Option<Arc<Moment>>,
    generation: u64,
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
        let world = World { model, events: Vec::new(), scenarios: Vec::new(), newest: None, generation: 0 };
        Self { cost: plan.cost.clone(), workers, plan, started: Instant::now(), world: Mutex::new(world) }
    }

    /// Simulated time; the vCenter's clock may be off.
    pub fn now(&self) -> Time {
        self.plan.origin + self.started.elapsed().mul_f64(self.plan.factor)
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
        Condition::at(&self.world().events, self.now())
    }

    /// Starts a scenario now. One whose targets do not exist is refused as a whole.
    pub fn start(&self, scenario: Scenario) -> Result<Time, ModelError> {
        let mut world = self.world();
        let start = self.now();
        let mut events = world.events.clone();
        events.extend(scenario.starting(start));
        world.model = Arc::new(world.model.with(events.clone())?);
        world.events = events;
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
        let condition = Condition::at(&world.events, now);
        let moment = Arc::new(world.next(now, condition.clock(now), &self.cost));
        world.newest = Some(moment.clone());
        moment
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
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
