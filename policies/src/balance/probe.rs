//! What a row of health probes says about an endpoint: it takes several in a row to change one's mind.

/// How many in a row change the verdict.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// Failures that make it unwell.
    pub fail_after: u32,
    /// Passes that make it well again.
    pub pass_after: u32,
}

/// How an endpoint stands with its probes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Health {
    /// It passes.
    #[default]
    Well,
    /// It fails.
    Unwell,
}

/// The row so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probes {
    health: Health,
    against: u32,
}

impl Probes {
    /// How it stands.
    pub fn health(&self) -> Health {
        self.health
    }

    /// One more probe. The new verdict, if it has changed.
    pub fn record(&mut self, patience: Patience, found: Health) -> Option<Health> {
        if found == self.health {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = match found {
            Health::Well => patience.pass_after,
            Health::Unwell => patience.fail_after,
        };
        if self.against < needed.max(1) {
            return None;
        }
        *self = Self { health: found, against: 0 };
        Some(found)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn it_takes_a_row_to_change_the_verdict() {
        let patience = Patience { fail_after: 3, pass_after: 2 };
        let mut probes = Probes::default();
        // `+` passes, `-` fails; a capital letter is a change: U unwell, W well.
        let told: String = "-+--+---+-++--+-++"
            .chars()
            .map(|probe| {
                let found = if probe == '+' { Health::Well } else { Health::Unwell };
                match probes.record(patience, found) {
                    None => probe,
                    Some(Health::Unwell) => 'U',
                    Some(Health::Well) => 'W',
                }
            })
            .collect();
        assert_eq!(told, "-+--+--U+-+W--+-++");
    }
}
