//! Views: what a client wants to look at.

use std::collections::HashSet;

use crate::objects::Cx;
use crate::soap::{Element, Fault, MoRef, Value, list, schema};

use super::Call;
use super::session::View;
use super::walk::Objects;

pub(crate) fn kind(view: &View) -> &'static str {
    match view {
        View::Container { .. } => "ContainerView",
        View::List(_) => "ListView",
    }
}

/// The property of a view.
pub(crate) fn property(cx: &Cx<'_>, view: &View, path: &str) -> Option<Value> {
    match (view, path) {
        (View::List(objects), "view") => Some(list(objects.iter().filter(|object| cx.kind(object).is_some()).cloned())),
        (View::Container { container, kinds, recursive }, "view") => {
            Some(list(contents(cx, container, kinds, *recursive)))
        }
        (View::Container { container, .. }, "container") => Some(container.clone().into()),
        (View::Container { kinds, .. }, "type") => Some(list(kinds.iter().cloned())),
        (View::Container { recursive, .. }, "recursive") => Some((*recursive).into()),
        _ => None,
    }
}

/// The objects of these types below another, in the order of the tree.
pub(crate) fn contents(cx: &Cx<'_>, container: &MoRef, kinds: &[String], recursive: bool) -> Vec<MoRef> {
    let wanted = |kind: &str| kinds.is_empty() || kinds.iter().any(|wanted| schema::is_a(kind, wanted));
    let mut found = Vec::new();
    let mut seen: HashSet<MoRef> = HashSet::new();
    let mut open = cx.children(container);
    open.reverse();
    while let Some(object) = open.pop() {
        if !seen.insert(object.clone()) {
            continue;
        }
        let Some(kind) = cx.kind(&object) else { continue };
        if recursive {
            let mut children = cx.children(&object);
            children.reverse();
            open.append(&mut children);
        }
        if wanted(kind) {
            found.push(object);
        }
    }
    found
}

fn kinds(method: &Element<'_>) -> Result<Vec<String>, Fault> {
    let kinds = method.all("type").map(|kind| kind.text.trim().to_owned());
    kinds
        .map(|kind| match schema::find(&kind) {
            Some(found) if found.kind == schema::Kind::Object => Ok(kind),
            _ => Err(Fault::InvalidArgument("type".to_owned())),
        })
        .collect()
}

impl Call<'_> {
    pub(crate) fn views(&mut self) -> Result<(), Fault> {
        let view = match self.method.name {
            "CreateContainerView" => {
                let container = self.argument("container")?;
                View::Container { container, kinds: kinds(self.method)?, recursive: self.method.flag("recursive") }
            }
            "CreateListView" => {
                let now = self.now();
                let objects: Vec<MoRef> = self.method.all("obj").map(Element::moref).collect();
                if let Some(gone) = objects.iter().find(|object| now.kind(object).is_none()) {
                    return Err(Fault::ManagedObjectNotFound(gone.clone()));
                }
                View::List(objects)
            }
            "DestroyView" if self.this.kind != "ViewManager" => {
                self.session.state().views.remove(self.this.id.as_ref());
                return Ok(());
            }
            _ => return Err(self.unknown()),
        };
        if self.this.kind != "ViewManager" {
            return Err(self.unknown());
        }
        let id = self.session.name();
        self.reference("returnval", &MoRef::of(kind(&view), id.clone()));
        self.session.state().views.insert(id, view);
        Ok(())
    }
}
