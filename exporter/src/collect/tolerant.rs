//! Properties that a vSphere does not have: each is asked for once and then left out.

use std::future::Future;

use tracing::info;

use super::Estate;
use crate::vsphere::methods::PropertySet;
use crate::vsphere::{Error, FaultKind};

/// Calls with these properties; where one of them is refused as unknown, without it again. What is left out stays so.
pub async fn without_unknown<T, F>(
    estate: &Estate,
    sets: &mut Vec<PropertySet>,
    call: impl Fn(Vec<PropertySet>) -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    loop {
        let error = match call(sets.clone()).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let refused = error.fault().filter(|fault| fault.kind == FaultKind::InvalidProperty);
        let Some(path) = refused.and_then(|fault| fault.property.clone()) else { return Err(error) };
        let before = count(sets);
        sets.iter_mut().for_each(|(_, paths)| paths.retain(|known| *known != path));
        if count(sets) == before {
            return Err(error);
        }
        info!(vcenter = estate.name, path, "this version of vSphere does not have a property: it is left out");
        estate.metrics.unavailable_property(&estate.name);
    }
}

fn count(sets: &[PropertySet]) -> usize {
    sets.iter().map(|(_, paths)| paths.len()).sum()
}
