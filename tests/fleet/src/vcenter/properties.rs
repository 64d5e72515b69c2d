//! The property collector: reading now, and filters for reading later.

use std::sync::Arc;

use crate::soap::{Fault, MoRef};

use super::session::Page;
use super::spec::{FilterSpec, Plans};
use super::walk::{Objects, find, write_object};
use super::{Call, session};

impl Call<'_> {
    pub(crate) fn property_collector(&mut self) -> Result<(), Fault> {
        match (self.this.kind.as_ref(), self.method.name) {
            ("PropertyCollector", "RetrievePropertiesEx") => self.retrieve(),
            ("PropertyCollector", "RetrieveProperties") => {
                for spec in self.specs()? {
                    let found = find(&self.now(), &spec)?;
                    self.objects("returnval", &spec, found);
                }
                Ok(())
            }
            ("PropertyCollector", "ContinueRetrievePropertiesEx") => {
                let page = self.take_page()?;
                self.page(page);
                Ok(())
            }
            ("PropertyCollector", "CancelRetrievePropertiesEx") => self.take_page().map(drop),
            ("PropertyCollector", "CreatePropertyCollector") => {
                let id = self.session.name();
                self.session.state().collectors.insert(id.clone(), Arc::default());
                self.reference("returnval", &MoRef::of("PropertyCollector", id));
                Ok(())
            }
            ("PropertyCollector", "DestroyPropertyCollector") => {
                let key = self.server.collector_key(&self.this);
                if key == session::DEFAULT_COLLECTOR {
                    return Err(Fault::NotSupported);
                }
                if let Some(collector) = self.session.state().collectors.remove(&key) {
                    collector.begin();
                }
                Ok(())
            }
            ("PropertyCollector", "CreateFilter") => {
                let spec = self.method.child("spec").ok_or_else(|| Fault::InvalidArgument("spec".to_owned()))?;
                let spec = FilterSpec::read(spec)?;
                // What does not exist now is refused now, not in the first wait.
                find(&self.now(), &spec)?;
                let key = self.server.collector_key(&self.this);
                let id = self.session.name();
                let collector = self.session.collector(&key);
                collector.ok_or_else(|| Fault::ManagedObjectNotFound(self.this.clone()))?.add(id.clone(), spec);
                self.reference("returnval", &MoRef::of("PropertyFilter", id));
                Ok(())
            }
            ("PropertyCollector", "CancelWaitForUpdates") => {
                if let Some(collector) = self.session.collector(&self.server.collector_key(&self.this)) {
                    collector.begin();
                }
                Ok(())
            }
            ("PropertyFilter", "DestroyPropertyFilter") => {
                let state = self.session.state();
                state.collectors.values().any(|collector| collector.remove(&self.this.id));
                Ok(())
            }
            _ => Err(self.unknown()),
        }
    }

    fn specs(&self) -> Result<Vec<FilterSpec>, Fault> {
        let specs = self.method.all("specSet").map(FilterSpec::read).collect::<Result<Vec<_>, _>>()?;
        if specs.is_empty() { Err(Fault::InvalidArgument("specSet".to_owned())) } else { Ok(specs) }
    }

    fn retrieve(&mut self) -> Result<(), Fault> {
        let mut specs = self.specs()?;
        let size = match self.method.child("options").and_then(|options| options.parse::<i64>("maxObjects")) {
            None => usize::MAX,
            Some(size) => usize::try_from(size)
                .ok()
                .filter(|size| *size > 0)
                .ok_or_else(|| Fault::InvalidArgument("options.maxObjects".to_owned()))?,
        };
        let now = self.now();
        if specs.len() > 1 {
            // Several specs in one call are rare, and never paged by the clients that send them.
            let mut objects = String::new();
            for spec in specs {
                let found = find(&now, &spec)?;
                std::mem::swap(&mut self.out, &mut objects);
                self.objects("objects", &spec, found);
                std::mem::swap(&mut self.out, &mut objects);
            }
            if !objects.is_empty() {
                self.out = format!("<returnval>{objects}</returnval>");
            }
            return Ok(());
        }
        let Some(spec) = specs.pop() else { return Ok(()) };
        let mut rest = find(&now, &spec)?;
        rest.retain(|object| now.kind(object).is_some_and(|kind| spec.plan(kind).is_some()));
        if !rest.is_empty() {
            self.page(Page { spec, rest: rest.into(), size });
        }
        Ok(())
    }

    /// Sends as many objects as there may be in an answer, and keeps the others under a token.
    fn page(&mut self, mut page: Page) {
        let count = page.size.min(page.rest.len());
        let first: Vec<MoRef> = page.rest.drain(..count).collect();
        let spec = page.spec.clone();
        self.out.push_str("<returnval>");
        if !page.rest.is_empty() {
            let token = self.session.name();
            self.out.push_str("<token>");
            self.out.push_str(&token);
            self.out.push_str("</token>");
            self.session.state().pages.insert(token, page);
        }
        self.objects("objects", &spec, first);
        self.out.push_str("</returnval>");
    }

    fn take_page(&self) -> Result<Page, Fault> {
        let token = self.method.text_of("token").unwrap_or_default().trim();
        let page = self.session.state().pages.remove(token);
        page.ok_or_else(|| Fault::InvalidArgument("token".to_owned()))
    }

    fn objects(&mut self, element: &str, spec: &FilterSpec, found: Vec<MoRef>) {
        let now = self.now();
        let mut plans = Plans::new(spec);
        let (mut objects, mut properties) = (0, 0);
        for object in found {
            // Gone since the first page, or of a type of which nothing was asked.
            let Some(plan) = now.kind(&object).and_then(|kind| plans.of(kind)) else { continue };
            write_object(&mut self.out, element, &now, &object, &plan);
            objects += 1;
            properties += plan.len();
        }
        self.cost += self.server.lab.cost.reading(objects, properties);
    }
}
