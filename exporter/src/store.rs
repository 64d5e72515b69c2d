//! What goes on after a restart: counters, marks, events and inventory, in one file a vCenter.
//!
//! Written as a whole beside the old one and then moved over it, so that a crash leaves one or the other. A file that
//! cannot be read is set aside and named; the exporter begins anew, which to Prometheus is a counter reset.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tracing::{error, info};
use xxhash_rust::xxh3::xxh3_64;

use crate::catalogue::Class;
use crate::collect::Estate;
use crate::events::Events;
use crate::ha::Outbox;
use crate::inventory::Inventory;
use crate::ledger::{Ledger, StoredLedger};

/// What a file begins with: what it is, and the version of its format.
const MAGIC: &[u8; 8] = b"lynceus3";

/// The file of one vCenter.
#[derive(Debug)]
pub struct Store {
    file: PathBuf,
    /// To the other exporter, where there is one.
    outbox: Option<Arc<Outbox>>,
}

/// What is in it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    /// By the number of their class.
    ledgers: Vec<StoredLedger>,
    /// What there was last: who owns a VM is known of it where only hosts can be asked.
    inventory: Option<Arc<Inventory>>,
    events: Events,
}

impl Store {
    /// In this folder, which is made where it is missing.
    pub(crate) fn new(folder: &Path, vcenter: &str, outbox: Option<Arc<Outbox>>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to make the folder `{}` (`--storage.path`)", folder.display()))?;
        Ok(Self { file: folder.join(format!("{vcenter}.state")), outbox })
    }

    /// Goes on where the file ends. A file that is not there is a first start.
    pub fn load(&self, estate: &Estate) {
        let bytes = match std::fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                error!(file = %self.file.display(), %error, "failed to read the stored state: counters begin anew");
                return;
            }
        };
        match decode(&bytes) {
            Ok(stored) => {
                let mut state = estate.state();
                for (class, ledger) in Class::ALL.into_iter().zip(stored.ledgers) {
                    state.ledger_mut(class).restore(ledger);
                }
                state.stored_inventory = stored.inventory;
                state.events = stored.events;
                drop(state);
                info!(vcenter = estate.name, file = %self.file.display(), "counters go on where they were");
            }
            Err(error) => {
                let aside = self.file.with_extension("damaged");
                let moved = std::fs::rename(&self.file, &aside).is_ok();
                error!(file = %self.file.display(), error = format!("{error:#}"), moved, "the stored state cannot be read: it is set aside, and counters begin anew");
            }
        }
    }

    /// Takes in what another exporter stored, for the next that loads it.
    pub(crate) fn join(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let others = decode(bytes)?;
        let own = match std::fs::read(&self.file) {
            // What cannot be read is no loss beside the other's: it would not be loaded either.
            Ok(bytes) => decode(&bytes).unwrap_or_default(),
            Err(_) => Stored::default(),
        };
        write(&self.file, &encode(&own.joined(others))?)
    }

    /// Takes in what another exporter stored, where this one collects too.
    pub(crate) fn join_live(estate: &Estate, bytes: &[u8]) -> anyhow::Result<()> {
        let others = decode(bytes)?;
        let mut state = estate.state();
        for (class, ledger) in Class::ALL.into_iter().zip(others.ledgers) {
            state.join(class, ledger);
        }
        let events = std::mem::take(&mut state.events);
        state.events = events.further(others.events);
        drop(state);
        estate.state_changed.notify_one();
        Ok(())
    }

    /// Writes whenever samples came, for as long as it is polled.
    pub async fn run(&self, estate: &Arc<Estate>) {
        loop {
            estate.samples_came.notified().await;
            self.save(estate).await;
        }
    }

    /// Writes what is known now.
    pub async fn save(&self, estate: &Arc<Estate>) {
        let (estate, file, outbox) = (estate.clone(), self.file.clone(), self.outbox.clone());
        let written = tokio::task::spawn_blocking(move || {
            let stored = {
                let state = estate.state();
                Stored {
                    ledgers: Class::ALL.map(|class| state.ledger(class).store()).into(),
                    inventory: state.last_inventory().or(state.stored_inventory.as_ref()).cloned(),
                    events: state.events.clone(),
                }
            };
            let written = encode(&stored).and_then(|bytes| {
                let written = write(&file, &bytes);
                if let Some(outbox) = outbox {
                    outbox.put(&estate.name, bytes.into());
                }
                written
            });
            if let Err(error) = written {
                estate.metrics.store_failed(&estate.name);
                error!(vcenter = estate.name, file = %file.display(), error = format!("{error:#}"), "failed to store the state: counters would begin anew after a restart");
            }
        });
        if let Err(stopped) = written.await {
            error!(error = %stopped, "failed to store the state");
        }
    }
}

impl Stored {
    /// Both, with the other's inventory: it is of the one that collects.
    fn joined(self, others: Self) -> Self {
        let (mut own, mut others_ledgers) = (self.ledgers.into_iter(), others.ledgers.into_iter());
        let ledgers = Class::ALL.map(|class| {
            let mut ledger = Ledger::new(class.counters());
            own.next().into_iter().chain(others_ledgers.next()).for_each(|stored| ledger.restore(stored));
            ledger.store()
        });
        Self {
            ledgers: ledgers.into(),
            inventory: others.inventory.or(self.inventory),
            events: self.events.further(others.events),
        }
    }
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;

    let beside = file.with_extension("new");
    let mut new = std::fs::File::create(&beside)?;
    new.write_all(bytes)?;
    new.sync_all()?;
    std::fs::rename(&beside, file)?;
    Ok(())
}

/// Magic, checksum of the rest, the rest.
fn encode(stored: &Stored) -> anyhow::Result<Vec<u8>> {
    let content = postcard::to_allocvec(stored)?;
    let mut bytes = Vec::with_capacity(content.len() + 16);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&xxh3_64(&content).to_le_bytes());
    bytes.extend_from_slice(&content);
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> anyhow::Result<Stored> {
    let Some((magic, rest)) = bytes.split_first_chunk::<8>() else {
        bail!("the file ends after {} bytes", bytes.len())
    };
    if magic != MAGIC {
        bail!("expected a file of this version of lynceus-exporter, found `{}`", magic.escape_ascii());
    }
    let Some((checksum, content)) = rest.split_first_chunk::<8>() else { bail!("the file ends before its content") };
    if u64::from_le_bytes(*checksum) != xxh3_64(content) {
        bail!("the content does not fit its checksum");
    }
    Ok(postcard::from_bytes(content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let stored =
            Stored { ledgers: vec![StoredLedger::default(); 4], inventory: Some(Arc::default()), ..Stored::default() };
        assert_eq!(decode(&encode(&stored).unwrap()).unwrap().ledgers, stored.ledgers);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let good = encode(&Stored::default()).unwrap();
        for cut in 0..good.len() {
            assert!(decode(&good[..cut]).is_err(), "cut after {cut} bytes");
        }
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            assert!(decode(&bad).is_err(), "byte {place} is another");
        }
    }
}
