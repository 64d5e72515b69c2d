//! What a client asks of the property collector: `PropertyFilterSpec`.

use std::collections::HashMap;
use std::rc::Rc;

use crate::soap::{Element, Fault, MoRef, schema};

/// Where to start, where to go from there, and what to read of what is found.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterSpec {
    /// What to read, by type.
    pub properties: Vec<PropertySpec>,
    /// Where to start.
    pub objects: Vec<ObjectSpec>,
    /// Leave objects out that are gone, in place of a fault.
    pub skip_missing: bool,
}

/// What to read of objects of a type.
#[derive(Debug, Clone, PartialEq)]
pub struct PropertySpec {
    /// The type; objects of a type that extends it are meant too.
    pub kind: String,
    /// Dotted paths.
    pub paths: Vec<String>,
}

/// Where to start.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectSpec {
    /// The first object.
    pub object: MoRef,
    /// Whether to leave it out of the answer.
    pub skip: bool,
    /// Ways on.
    pub select: Vec<Selection>,
}

/// A way from an object to others.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// The traversal of that name, defined elsewhere in the same spec.
    Named(String),
    /// Along a property that refers to objects.
    Traversal(Traversal),
}

/// A way along a property.
#[derive(Debug, Clone, PartialEq)]
pub struct Traversal {
    /// What [`Selection::Named`] calls it.
    pub name: Option<String>,
    /// The type of the objects that it starts from.
    pub kind: String,
    /// The property.
    pub path: String,
    /// Whether to leave what it leads to out of the answer.
    pub skip: bool,
    /// Ways on from there.
    pub select: Vec<Selection>,
}

impl FilterSpec {
    /// Reads and checks a spec.
    pub fn read(element: &Element<'_>) -> Result<Self, Fault> {
        let properties = element.all("propSet").map(property_spec).collect::<Result<Vec<_>, _>>()?;
        let objects = element.all("objectSet").map(object_spec).collect::<Result<Vec<_>, _>>()?;
        if properties.is_empty() {
            return Err(Fault::InvalidArgument("specSet.propSet".to_owned()));
        }
        Ok(Self { properties, objects, skip_missing: element.flag("reportMissingObjectsInResults") })
    }

    /// What to read of objects of this type, or `None` when nothing was asked of them.
    pub fn plan(&self, kind: &str) -> Option<Plan> {
        let mut sets = self.properties.iter().filter(|set| schema::is_a(kind, &set.kind)).peekable();
        sets.peek()?;
        let mut plan: Plan = Vec::new();
        for path in sets.flat_map(|set| &set.paths) {
            if let Some(field) = schema::resolve(kind, path)
                && !plan.iter().any(|(known, _)| known == path)
            {
                plan.push((path.clone(), field));
            }
        }
        Some(plan)
    }
}

/// Paths to read of objects of one type, with what they lead to.
pub type Plan = Vec<(String, schema::Field)>;

/// The plans of a spec, each made once.
pub struct Plans<'a> {
    spec: &'a FilterSpec,
    plans: HashMap<&'static str, Option<Rc<Plan>>>,
}

impl<'a> Plans<'a> {
    /// No plan is made yet.
    pub fn new(spec: &'a FilterSpec) -> Self {
        Self { spec, plans: HashMap::new() }
    }

    /// See [`FilterSpec::plan`].
    pub fn of(&mut self, kind: &'static str) -> Option<Rc<Plan>> {
        self.plans.entry(kind).or_insert_with(|| self.spec.plan(kind).map(Rc::new)).clone()
    }
}

fn managed_type(name: &str) -> Result<&'static schema::Type, Fault> {
    schema::find(name)
        .filter(|found| found.kind == schema::Kind::Object)
        .ok_or_else(|| Fault::InvalidType(name.to_owned()))
}

fn property_spec(element: &Element<'_>) -> Result<PropertySpec, Fault> {
    let kind = element.text_of("type").unwrap_or_default().trim();
    let found = managed_type(kind)?;
    let mut paths: Vec<String> = element.all("pathSet").map(|path| path.text.trim().to_owned()).collect();
    if element.flag("all") {
        paths = found.fields.iter().map(|field| field.name.to_owned()).collect();
    }
    match paths.iter().find(|path| schema::resolve(kind, path).is_none()) {
        Some(path) => Err(Fault::InvalidProperty(path.clone())),
        None => Ok(PropertySpec { kind: kind.to_owned(), paths }),
    }
}

fn object_spec(element: &Element<'_>) -> Result<ObjectSpec, Fault> {
    let object = element.child("obj").ok_or_else(|| Fault::InvalidArgument("specSet.objectSet.obj".to_owned()))?;
    Ok(ObjectSpec { object: object.moref(), skip: element.flag("skip"), select: selections(element)? })
}

fn selections(element: &Element<'_>) -> Result<Vec<Selection>, Fault> {
    element.all("selectSet").map(selection).collect()
}

fn selection(element: &Element<'_>) -> Result<Selection, Fault> {
    let name = element.text_of("name").map(|name| name.trim().to_owned());
    // Some clients leave the type out; a path can only stand in a traversal.
    let Some(path) = element.text_of("path") else {
        return name.map(Selection::Named).ok_or_else(|| Fault::InvalidArgument("selectSet.name".to_owned()));
    };
    let (kind, path) = (element.text_of("type").unwrap_or_default().trim(), path.trim());
    managed_type(kind)?;
    if schema::resolve(kind, path).is_none() {
        return Err(Fault::InvalidProperty(path.to_owned()));
    }
    Ok(Selection::Traversal(Traversal {
        name,
        kind: kind.to_owned(),
        path: path.to_owned(),
        skip: element.flag("skip"),
        select: selections(element)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::{MAX_ELEMENTS, parse};

    fn read(spec: &str) -> Result<FilterSpec, Fault> {
        let body = format!("<Envelope><Body><M><specSet>{spec}</specSet></M></Body></Envelope>");
        FilterSpec::read(parse(&body, MAX_ELEMENTS).unwrap().child("specSet").unwrap())
    }

    #[test]
    fn a_type_gets_the_paths_of_all_sets_that_mean_it() {
        let spec = read(
            "<propSet><type>ManagedEntity</type><pathSet>name</pathSet></propSet>
             <propSet><type>VirtualMachine</type><pathSet>runtime.host</pathSet><pathSet>name</pathSet></propSet>",
        )
        .unwrap();
        let paths =
            |kind| spec.plan(kind).map(|plan| plan.into_iter().map(|(path, _)| path).collect::<Vec<_>>().join(" "));
        assert_eq!(paths("VirtualMachine").as_deref(), Some("name runtime.host"));
        assert_eq!(paths("Datastore").as_deref(), Some("name"));
        assert_eq!(paths("ContainerView"), None);
    }

    #[test]
    fn what_does_not_exist_is_refused_by_name() {
        let unknown = read("<propSet><type>VirtualMachine</type><pathSet>runtime.nosuch</pathSet></propSet>");
        assert_eq!(unknown, Err(Fault::InvalidProperty("runtime.nosuch".to_owned())));
        assert_eq!(read("<propSet><type>Nosuch</type></propSet>"), Err(Fault::InvalidType("Nosuch".to_owned())));
        assert!(matches!(read(""), Err(Fault::InvalidArgument(_))));
    }
}
