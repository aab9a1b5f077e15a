//! What the demo is told when it is started.

use std::time::Duration;

use clap::Parser;

/// Runs the whole shop behind the two proxies: the monolith, ten services each with a sidecar, the gateway, and shoppers.
///
/// Without a word it goes on until Ctrl-C, which ends all of it. The page of the demo is http://127.0.0.1:18090/, the shop
/// is at http://127.0.0.1:8080/. Nothing need be installed, but for --servers.
#[derive(Clone, Debug, Parser)]
#[command(name = "shop-demo")]
pub struct Settings {
    /// Plays the story of a migration, a failure and a promotion; exits with 0 only if every step did what it says
    #[arg(long, conflicts_with_all = ["load", "lasts"])]
    pub tour: bool,
    /// Offers orders and looks at a rate for so many seconds, and prints how they were served, in Markdown
    #[arg(long, value_name = "SECONDS", conflicts_with = "lasts", value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub load: Option<u64>,
    /// With --load: so many orders
    #[arg(long, value_name = "ORDERS", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub orders_per_minute: u32,
    /// With --load: so many looks at the catalogue, searches among them
    #[arg(long, value_name = "LOOKS", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=600_000))]
    pub browse_per_minute: u32,
    /// On a Postgres, a Redis and a RabbitMQ of its own, which must be installed
    #[arg(long)]
    pub servers: bool,
    /// No live summary: only what starts, what crashes and what the tour says
    #[arg(long)]
    pub quiet: bool,
    /// Ends by itself after so long, such as 30s or 5m
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub lasts: Option<Duration>,
    /// Keeps the folder with logs and databases: target/demo/latest, until the next run
    #[arg(long)]
    pub keep: bool,
    /// How many shoppers stroll through the shop
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(0..=500))]
    pub shoppers: u16,
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time such as 30s or 5m");
    let (number, unit) = text.split_at(text.find(|char: char| !char.is_ascii_digit()).ok_or_else(wrong)?);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let rows =
            [("30s", Some(30)), ("5m", Some(300)), ("30", None), ("s", None), ("1.5s", None), ("5 m", None)];
        for (text, wanted) in rows {
            assert_eq!(duration(text).ok(), wanted.map(Duration::from_secs), "{text}");
        }
    }
}
