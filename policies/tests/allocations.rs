//! Deciding about a request whose token is known allocates nothing: counted, not believed.
#![allow(
    clippy::unwrap_used,
    unsafe_code,
    reason = "counting allocations takes an allocator, and an allocator takes unsafe"
)]

mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use policies::time::{Now, Tick};

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; the counter touches no memory but its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test alone in this binary: a second one would count into the first.
#[test]
fn a_known_token_is_admitted_without_an_allocation() {
    let shop = world::Shop::new(1_000, 16);
    let now =
        |n: u64| Now { tick: Tick::from_nanos(1_000_000_000 + n * 1_000_000), unix_secs: 1_700_000_000 };
    let known = (0..shop.requests()).all(|which| shop.decide(which, world::Part::GuardAndAdmit, now(0)));
    assert!(known, "every request is permitted");
    let before = COUNT.load(Ordering::Relaxed);
    let permitted =
        (0..1_000).filter(|n| shop.decide(n % 16, world::Part::GuardAndAdmit, now(*n as u64))).count();
    let after = COUNT.load(Ordering::Relaxed);
    assert_eq!(permitted, 1_000);
    assert_eq!(after - before, 0, "allocations in a thousand decisions");
    a_shared_limit_allocates_only_for_what_it_asks();
}

fn a_shared_limit_allocates_only_for_what_it_asks() {
    let shop = world::Shop::sharing(1_000, 16);
    let mut silent = 0;
    for n in 0..4_000_u64 {
        let now = Now { tick: Tick::from_nanos(1_000_000_000 + n * 100_000), unix_secs: 1_700_000_000 };
        let which = usize::try_from(n).unwrap() % 16;
        let (questions, before) = (shop.questions.get(), COUNT.load(Ordering::Relaxed));
        assert!(shop.decide(which, world::Part::GuardAndAdmit, now));
        // The first requests of each caller fill the caches.
        if shop.questions.get() == questions && n >= 64 {
            silent += 1;
            assert_eq!(COUNT.load(Ordering::Relaxed), before, "decision {n} asked nothing");
        }
    }
    assert!(silent > 3_600, "{silent} of 4000 decisions asked nothing");
}
