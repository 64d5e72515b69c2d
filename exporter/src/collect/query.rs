//! One `QueryPerf`: what to ask of each object of a batch, and whose the answers are.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::debug;

use super::Estate;
use super::plan::Batch;
use crate::catalogue::Class;
use crate::vsphere::{Client, EntityPerformance, Error, Format, PerfQuery, PerfRequest, Session, Transport, methods};

/// How many objects that vanish between inventory and query are taken out of one batch before it is given up.
const MAX_VANISHED: usize = 20;

/// From so many samples on, the format that writes them in one text is shorter.
const MANY_SAMPLES: i64 = 3;

/// What roll-ups can be asked for without vCenter's database.
const HISTORY_MILLIS: i64 = 30 * 60_000;

/// What a query brought of one object: its identity, the answer, and the counters that were asked for.
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) found: EntityPerformance,
    pub(super) request: Arc<PerfRequest>,
}

/// One query. An object that has vanished since the inventory would fail all the others of its batch.
pub(super) async fn query(
    estate: &Estate,
    client: &Arc<Client>,
    class: Class,
    mut batch: Batch,
    server_now: i64,
) -> Result<Vec<Answer>, Error> {
    for _ in 0..MAX_VANISHED {
        let error = match ask(estate, client, class, &batch, server_now).await {
            Ok(answers) => return Ok(answers),
            Err(error) => error,
        };
        let gone = error.gone();
        let Some(place) = gone.and_then(|gone| batch.targets.iter().position(|target| target.moref == gone.id)) else {
            return Err(error);
        };
        debug!(vcenter = estate.name, object = batch.targets[place].moref, "vanished since the inventory");
        batch.targets.swap_remove(place);
    }
    ask(estate, client, class, &batch, server_now).await
}

async fn ask(
    estate: &Estate,
    client: &Arc<Client>,
    class: Class,
    batch: &Batch,
    server_now: i64,
) -> Result<Vec<Answer>, Error> {
    if batch.targets.is_empty() {
        return Ok(Vec::new());
    }
    client
        .within_session(|session| async move {
            let transport = client.transport();
            let request = Arc::new(request(class, &session, estate, transport).await?);
            if request.is_empty() {
                return Ok(Vec::new());
            }
            let length = 1000 * i64::from(class.sample_interval());
            let body = {
                let mut books = estate.books();
                let ledger = books.ledger_mut(class);
                let queries: Vec<_> = batch
                    .targets
                    .iter()
                    .map(|target| {
                        ledger.asked(&target.id, server_now);
                        let mut after = ledger.after(&target.id, server_now);
                        if class.is_rolled_up() {
                            // Without a start, roll-ups of a whole day would come.
                            after = Some(after.unwrap_or(0).max(server_now - HISTORY_MILLIS));
                        }
                        let newest = ledger.newest(&target.id, server_now);
                        let samples = after.map_or(i64::from(newest), |after| (server_now - after) / length);
                        let many = samples > MANY_SAMPLES || ledger.is_unpaired(&target.id);
                        let format = if many { Format::Csv } else { Format::Normal };
                        PerfQuery { id: &target.moref, after, newest, format }
                    })
                    .collect();
                request.body(queries.into_iter())
            };
            let found = methods::query_perf(transport, &session, body).await?;
            let ids: HashMap<&str, &str> = batch.targets.iter().map(|t| (t.moref.as_str(), t.id.as_str())).collect();
            let answer = |found: EntityPerformance| {
                let id = (*ids.get(found.id.as_str())?).to_owned();
                Some(Answer { id, found, request: request.clone() })
            };
            Ok(found.into_iter().filter_map(answer).collect())
        })
        .await
}

async fn request(
    class: Class,
    session: &Session,
    estate: &Estate,
    transport: &Transport,
) -> Result<PerfRequest, Error> {
    let (counters, ids) = (class.counters(), session.counters(transport).await?);
    let request =
        PerfRequest::new(&session.content.perf_manager, class.kind(), &counters, ids, class.sample_interval());
    estate.metrics.unavailable_counters(&estate.name, class, counters.len() - request.len());
    Ok(request)
}
