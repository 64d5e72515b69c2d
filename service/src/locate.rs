//! Where in a YAML file each key stands and what it says, so that a problem found later can still name both.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Line of each key path, counted from 1, and the text of each scalar.
pub(crate) struct Keys(HashMap<String, (u64, Option<String>)>);

impl Keys {
    /// Reads the positions; a file that does not parse has none.
    pub(crate) fn of(yaml: &str) -> Self {
        let mut keys = HashMap::new();
        if let Ok(root) = serde_saphyr::from_str::<Spanned<Node>>(yaml) {
            walk(&root, String::new(), &mut keys);
        }
        Self(keys)
    }

    /// Line of a key, or of the nearest key around it that is in the file.
    pub(crate) fn line(&self, key: &str) -> Option<u64> {
        let mut key = key;
        loop {
            if let Some((line, _)) = self.0.get(key) {
                return Some(*line);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }

    /// Text of a scalar.
    pub(crate) fn scalar(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.1.as_deref()
    }
}

fn walk(node: &Spanned<Node>, key: String, keys: &mut HashMap<String, (u64, Option<String>)>) {
    let mut text = None;
    match &node.value {
        Node::Scalar(scalar) => text = Some(scalar.clone()),
        Node::List(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, format!("{key}[{index}]"), keys);
            }
        }
        Node::Map(entries) => {
            for (name, value) in entries {
                let separator = if key.is_empty() { "" } else { "." };
                walk(value, format!("{key}{separator}{name}"), keys);
            }
        }
    }
    keys.insert(key, (node.referenced.line(), text));
}

enum Node {
    Scalar(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(String, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar("null".to_owned()))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar("null".to_owned()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            entries.push((key, map.next_value()?));
        }
        Ok(Node::Map(entries))
    }
}
