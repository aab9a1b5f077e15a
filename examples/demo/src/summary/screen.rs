//! Where lines and the summary are written: a terminal, in which the summary is drawn anew in its place, or a file.

use std::io::{IsTerminal, Write};

/// How the summary is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// Only what is said.
    Quiet,
    /// A line now and then.
    Lines,
    /// Drawn anew each time.
    Drawn,
}

impl Style {
    /// What the standard output can bear.
    pub fn fitting() -> Self {
        if std::io::stdout().is_terminal() { Self::Drawn } else { Self::Lines }
    }
}

pub(super) struct Screen {
    pub(super) style: Style,
    drawn: usize,
}

impl Screen {
    pub(super) fn new(style: Style) -> Self {
        Self { style, drawn: 0 }
    }

    /// A line that stays.
    pub(super) fn say(&mut self, words: &str) {
        self.put(&format!("{words}\n"));
        self.drawn = 0;
    }

    /// A block in the place of the last one.
    pub(super) fn draw(&mut self, block: &str) {
        self.put(block);
        self.drawn = block.lines().count();
    }

    fn put(&self, words: &str) {
        let mut out = std::io::stdout().lock();
        // Up to where the block began, and clear from there: ECMA-48, CUU and ED.
        let up = if self.drawn > 0 && self.style == Style::Drawn {
            format!("\x1b[{}A\x1b[J", self.drawn)
        } else {
            String::new()
        };
        // A reader that has gone is no reason to end.
        let _ = out.write_all(format!("{up}{words}").as_bytes());
        let _ = out.flush();
    }
}
