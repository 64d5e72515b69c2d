//! Tags of VMs: all now and then, those of a new VM at once.
//!
//! Where the config says that tags decide whose a VM is, a VM is not shown before its tags are known.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Estate;
use crate::state::Health;
use crate::vsphere::{Error, TagService};

/// VMs in one call.
const BATCH: usize = 500;

/// Names that are read at the same time: there is a call for each.
const NAMES_IN_FLIGHT: usize = 8;

/// A tag or a category that was renamed shows its new name after this.
const NAMES_STAY: Duration = Duration::from_secs(3600);

/// VMs that come together are asked for together.
const SETTLE: Duration = Duration::from_secs(1);

/// Before the first retry.
const FIRST_RETRY: Duration = Duration::from_secs(5);

const COLLECTOR: &str = "tags";

/// Reads for as long as it is polled; nothing where the config asks for no tags.
pub async fn run(estate: &Estate, service: &Arc<TagService>) {
    if !estate.terms.needs_tags() {
        return;
    }
    let mut names = Names::default();
    let mut wait = FIRST_RETRY;
    let mut ticks = interval(estate.collection.tags_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let all = tokio::select! {
            _ = ticks.tick() => true,
            () = estate.vms_may_be_new.notified() => false,
        };
        estate.until_followed().await;
        if !all {
            sleep(SETTLE).await;
        }
        let vms = estate.mirror().vms(all);
        if !all && vms.is_empty() {
            continue;
        }
        let start = Instant::now();
        if all {
            names.forget_old(start);
        }
        let error = match read(service, &mut names, &vms).await {
            Ok(tags) => {
                estate.mirror().set_tags(tags, all);
                estate.mirror_changed.notify_one();
                None
            }
            Err(error) => Some(error.chain()),
        };
        let failed = error.is_some();
        estate.note(Health { collector: COLLECTOR, error, duration: start.elapsed(), ..Health::default() });
        if failed {
            sleep(wait).await;
            wait = (wait * 2).min(estate.collection.tags_interval.max(FIRST_RETRY));
            ticks.reset_immediately();
        } else {
            wait = FIRST_RETRY;
        }
    }
}

/// Category and name of the tags of each of these VMs.
async fn read(
    service: &Arc<TagService>,
    names: &mut Names,
    vms: &[String],
) -> Result<HashMap<String, Vec<(String, String)>>, Error> {
    // vCenter may say nothing of a VM that has none.
    let mut found: HashMap<String, Vec<String>> = vms.iter().map(|vm| (vm.clone(), Vec::new())).collect();
    for batch in vms.chunks(BATCH) {
        for (vm, tags) in service.attached(batch).await? {
            if let Some(known) = found.get_mut(&vm) {
                *known = tags;
            }
        }
    }
    names.learn(service, found.values().flatten()).await?;
    let name = |tags: Vec<String>| tags.iter().filter_map(|tag| names.of(tag)).collect();
    Ok(found.into_iter().map(|(vm, tags)| (vm, name(tags))).collect())
}

/// What tags and categories are called.
#[derive(Debug, Default)]
struct Names {
    /// By id: the name, its category's id, and when that was read.
    tags: HashMap<String, (String, String, Instant)>,
    categories: HashMap<String, (String, Instant)>,
}

impl Names {
    fn forget_old(&mut self, now: Instant) {
        self.tags.retain(|_, (.., read)| now.saturating_duration_since(*read) < NAMES_STAY);
        self.categories.retain(|_, (_, read)| now.saturating_duration_since(*read) < NAMES_STAY);
    }

    /// Reads those of these tags that are not known. One that is gone is none any more.
    async fn learn(&mut self, service: &Arc<TagService>, tags: impl Iterator<Item = &String>) -> Result<(), Error> {
        let unknown: HashSet<String> = tags.filter(|tag| !self.tags.contains_key(*tag)).cloned().collect();
        let read = unknown.into_iter().map(|id| {
            let service = service.clone();
            async move { Ok::<_, Error>((service.tag(&id).await?, id)) }
        });
        let read: Vec<_> = stream::iter(read).buffer_unordered(NAMES_IN_FLIGHT).try_collect().await?;
        let now = Instant::now();
        let there = read.into_iter().filter_map(|(tag, id)| Some((id, tag?)));
        self.tags.extend(there.map(|(id, tag)| (id, (tag.name, tag.category_id, now))));

        let categories = self.tags.values().map(|(_, category, _)| category);
        let unknown: HashSet<String> = categories.filter(|id| !self.categories.contains_key(*id)).cloned().collect();
        for id in unknown {
            if let Some(name) = service.category(&id).await? {
                self.categories.insert(id, (name, now));
            }
        }
        Ok(())
    }

    /// Category and name of a tag.
    fn of(&self, tag: &str) -> Option<(String, String)> {
        let (name, category, _) = self.tags.get(tag)?;
        Some((self.categories.get(category)?.0.clone(), name.clone()))
    }
}
