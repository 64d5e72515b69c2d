//! All boards.

mod fleet;

use crate::board::Board;

pub(crate) const ALL: [&Board; 1] = [&fleet::BOARD];
