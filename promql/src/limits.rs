//! What is refused because it is too large, so that no input costs more than its length.

/// Longest query in bytes. Prometheus has no limit; a query that people write stays far below.
pub const MAX_BYTES: usize = 1 << 20;

/// Deepest nesting of parentheses, calls, signs and powers: each level takes stack in the parser.
pub const MAX_NESTING: usize = 128;

/// Most binary operators and subqueries in one query: a chain of them is as deep a tree.
pub const MAX_OPERATORS: usize = 1000;

/// Largest compiled regular expression in bytes; only those are compiled whose selector has nothing else that keeps
/// it from selecting everything.
pub(crate) const MAX_REGEX_BYTES: usize = 1 << 20;
