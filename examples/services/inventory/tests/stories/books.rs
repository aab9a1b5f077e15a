//! Whatever is done in whatever order, the books say what a child with a pencil would have written.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use crate::{balances, end, fill, inventory, reserve, stock};

#[derive(Clone, Debug)]
enum Act {
    Confirm(usize),
    Fill(usize, i64),
    Release(usize),
    Reserve(usize, [i64; PRODUCTS]),
}

const PRODUCTS: usize = 3;
const NAMES: usize = 6;

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0..NAMES).prop_map(Act::Confirm),
        1 => (0..PRODUCTS, 0..12_i64).prop_map(|(product, on_hand)| Act::Fill(product, on_hand)),
        2 => (0..NAMES).prop_map(Act::Release),
        4 => (0..NAMES, prop::array::uniform3(0..4_i64)).prop_map(|(name, wanted)| Act::Reserve(name, wanted)),
    ]
}

/// The pencil.
#[derive(Default)]
struct Child {
    shelf: [(i64, i64); PRODUCTS],
    reservations: HashMap<usize, (&'static str, [i64; PRODUCTS])>,
}

impl Child {
    /// The status the service should answer.
    fn does(&mut self, act: &Act) -> u16 {
        match *act {
            Act::Confirm(name) => match self.reservations.get_mut(&name) {
                Some((state @ "held", wanted)) => {
                    *state = "confirmed";
                    for ((on_hand, reserved), wanted) in self.shelf.iter_mut().zip(*wanted) {
                        *on_hand -= wanted;
                        *reserved -= wanted;
                    }
                    200
                }
                Some(("confirmed", _)) => 200,
                Some(_) => 409,
                None => 404,
            },
            Act::Fill(product, on_hand) if on_hand < self.shelf[product].1 => 409,
            Act::Fill(product, on_hand) => {
                self.shelf[product].0 = on_hand;
                200
            }
            Act::Release(name) => match self.reservations.get_mut(&name) {
                Some((state @ "held", wanted)) => {
                    *state = "released";
                    self.shelf
                        .iter_mut()
                        .zip(*wanted)
                        .for_each(|((_, reserved), wanted)| *reserved -= wanted);
                    200
                }
                Some(("confirmed", _)) => 409,
                Some(_) => 200,
                None => {
                    self.reservations.insert(name, ("released", [0; PRODUCTS]));
                    200
                }
            },
            Act::Reserve(_, [0, 0, 0]) => 400,
            Act::Reserve(name, wanted) => match self.reservations.get(&name) {
                Some(("released", _)) => 409,
                Some((_, held)) if *held != wanted => 409,
                Some(_) => 200,
                None if self
                    .shelf
                    .iter()
                    .zip(wanted)
                    .any(|((has, promised), wanted)| has - promised < wanted) =>
                {
                    409
                }
                None => {
                    self.shelf.iter_mut().zip(wanted).for_each(|((_, reserved), wanted)| *reserved += wanted);
                    self.reservations.insert(name, ("held", wanted));
                    201
                }
            },
        }
    }
}

#[test]
fn the_books_are_what_was_done() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = runtime.block_on(inventory(&[("SEED", "none")]));
    let cases = Cell::new(0);
    let config = ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&prop::collection::vec(act(), 1..30), |acts| {
            // Its own products and names: one service is enough for all.
            cases.set(cases.get() + 1);
            runtime.block_on(play(&service, cases.get(), &acts));
            Ok(())
        })
        .unwrap();
    runtime.block_on(balances(&service));
}

async fn play(service: &chassis::testing::Tried, case: u32, acts: &[Act]) {
    let product = |index: usize| format!("p-{case}-{index}");
    let name = |index: usize| format!("r-{case}-{index}");
    let mut child = Child::default();
    let mut known = BTreeSet::new();
    for act in acts {
        let answer = match act {
            Act::Confirm(id) => end(service, &name(*id), "confirm").await,
            Act::Fill(index, on_hand) => {
                known.insert(*index);
                fill(service, &product(*index), *on_hand).await
            }
            Act::Release(id) => end(service, &name(*id), "release").await,
            Act::Reserve(id, wanted) => {
                let wanted: Vec<(String, i64)> = wanted
                    .iter()
                    .enumerate()
                    .filter(|(_, n)| **n > 0)
                    .map(|(index, n)| (product(index), *n))
                    .collect();
                let wanted: Vec<(&str, i64)> =
                    wanted.iter().map(|(product, n)| (product.as_str(), *n)).collect();
                reserve(service, &name(*id), &wanted).await
            }
        };
        assert_eq!(answer.status, child.does(act), "{act:?}: {}", answer.body);
    }
    for index in known {
        assert_eq!(stock(service, &product(index)).await, child.shelf[index]);
    }
}
