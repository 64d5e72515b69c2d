//! The whole of Lynceus on real processes: each scenario starts its own stack on free ports, in its own folder.
//!
//! The stack and the checks are those of the demo (`lynceus_demo`), so what a newcomer sees is what is tested.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod interruptions;
mod path;
mod queries;
mod scenarios;
mod support;
