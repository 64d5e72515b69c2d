use std::ops::Range;

/// Where a node stands in its text: bytes, the end exclusive.
///
/// Two trees are compared with their spans; [`Expr::without_spans`](crate::Expr::without_spans) takes them away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Span {
        // The parser refuses texts beyond `limits::MAX_BYTES`, so nothing is cut here.
        Span { start: start as u32, end: end as u32 }
    }

    /// From the start of one to the end of the other.
    pub(crate) fn to(self, end: Span) -> Span {
        Span { start: self.start, end: end.end }
    }

    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}
