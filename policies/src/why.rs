//! How a decision tells why, at no cost when nobody asks.
//!
//! Every deciding function takes a [`Witness`]. The data path passes [`Silent`], which compiles to nothing;
//! `explain` passes [`Notes`]. There is no second implementation of any rule for explaining it.

/// Listens to a decision being made.
pub trait Witness {
    /// One remark about the policy `about` (its name in the document: `route`, `limit`, `jwt` ...). `words` is
    /// only called if somebody listens.
    fn note(&mut self, about: &'static str, words: impl FnOnce() -> String);
}

/// Nobody listens. The closure is never called and the call disappears.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Witness for Silent {
    #[inline(always)]
    fn note(&mut self, _: &'static str, _: impl FnOnce() -> String) {}
}

/// Keeps everything that was said, in order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Notes(pub Vec<Note>);

/// One remark.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// The policy it is about, by its name in the document.
    pub about: &'static str,
    /// What was decided, and why, in a sentence.
    pub words: String,
}

impl Witness for Notes {
    fn note(&mut self, about: &'static str, words: impl FnOnce() -> String) {
        self.0.push(Note { about, words: words() });
    }
}
