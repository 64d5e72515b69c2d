//! Licences. The keys are read with them, since they are one property, and are dropped here.

use std::sync::Arc;

use crate::inventory::Licence;
use crate::vsphere::methods::{self, Objects};
use crate::vsphere::{Client, Error, Value};

/// All of them; none where the user may not see them, or where there is nobody to ask.
pub(super) async fn read(client: &Arc<Client>) -> Result<Vec<Licence>, Error> {
    let found = client.within_session(|session| async move {
        let mut found = Vec::new();
        let Some(manager) = session.content.service("licenseManager").cloned() else { return Ok(found) };
        let sets = [("LicenseManager", vec!["licenses"])];
        let manager = Objects::These(std::slice::from_ref(&manager));
        methods::retrieve_properties(client.transport(), &session, &sets, &manager, |object| {
            let licences = object.get("licenses").into_iter().flat_map(Value::fields);
            found.extend(licences.filter_map(|field| Licence::of(&field.value)));
        })
        .await?;
        Ok(found)
    });
    Ok(Licence::summed_up(found.await?))
}
