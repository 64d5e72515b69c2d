//! stub
use super::Call;
use super::session::Session;
use crate::objects::Cx;
use crate::soap::{Fault, MoRef, Value};
#[derive(Debug, Clone)]
pub struct EventFilter;
pub(crate) fn collector_property(_: &Cx<'_>, _: &Session, _: &MoRef, _: &str) -> Option<Value> {
    None
}
impl Call<'_> {
    pub(crate) fn events(&mut self) -> Result<(), Fault> {
        Err(self.unknown())
    }
}
