use super::*;
use std::time::Instant;
#[allow(clippy::disallowed_methods)]
#[test]
fn probe() {
    for n in [10usize, 1000, 10000, 100_000] {
        let text = |i: usize| match i % 4 {
            0 => format!("GET shop.example/team{}/service{i}/status", i % 97),
            1 => format!("GET,POST shop.example/team{}/service{i}/orders/{{id}}", i % 97),
            2 => format!("- *.example/team{}/service{i}/**", i % 97),
            _ => format!("- /api/v{}/{{tenant}}/service{i}", i % 7),
        };
        let t = Instant::now();
        let table = Table::build((0..n).map(|i| pattern(&text(i))).collect()).unwrap();
        let built = t.elapsed();
        let mut x = 12345u64;
        let requests: Vec<Request> = (0..256)
            .map(|k| {
                x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let i = (x >> 33) as usize % n;
                let path = match i % 4 {
                    0 => format!("GET shop.example/team{}/service{i}/status", i % 97),
                    1 => format!("GET shop.example/team{}/service{i}/orders/{k}", i % 97),
                    2 => format!("GET shop.example/team{}/service{i}/a/{k}", i % 97),
                    _ => format!("GET shop.example/api/v{}/tenant{k}/service{i}", i % 7),
                };
                Request::new(&path)
            })
            .collect();
        let mut best = f64::MAX;
        for _ in 0..30 {
            let t = Instant::now();
            let mut hits = 0;
            for _ in 0..20 {
                for r in &requests {
                    if let Found::Route { index, params } =
                        std::hint::black_box(table.find(&r.ask(), &mut Silent))
                    {
                        hits += index.min(1) + params.len().min(0) + 1;
                    }
                }
            }
            std::hint::black_box(hits);
            assert!(hits >= 256 * 20);
            best = best.min(t.elapsed().as_nanos() as f64 / (256.0 * 20.0));
        }
        println!("{n:>7} routes: {best:.0} ns (built in {built:?})");
    }
    let table =
        table(&["GET shop.example/status", "- shop.example/orders/{id}", "- ~/x/[0-9]+", "- ~/y/[a-z]+/q"]);
    for text in [
        "GET shop.example/status",
        "GET shop.example/orders/7",
        "GET shop.example/x/123",
        "GET shop.example/nothing",
    ] {
        let r = Request::new(text);
        let t = Instant::now();
        for _ in 0..100000 {
            std::hint::black_box(table.find(&std::hint::black_box(r.ask()), &mut Silent));
        }
        println!("{text}: {} ns", t.elapsed().as_nanos() / 100000);
    }
}
