//! What the demo is told when it is started.

use std::time::Duration;

use clap::Parser;

/// Runs the whole shop behind the two proxies. Ctrl-C ends all of it.
#[derive(Clone, Debug, Parser)]
#[command(name = "shop-demo")]
pub struct Settings {
    /// Plays the story of a migration, a failure and a promotion; exits with 0 only if every step did what it says
    #[arg(long)]
    pub tour: bool,
    /// On a Postgres, a Redis and a RabbitMQ of its own, which must be installed
    #[arg(long)]
    pub servers: bool,
    /// No live summary: only what starts, what crashes and what the tour says
    #[arg(long)]
    pub quiet: bool,
    /// Ends by itself after so long, such as 30s or 5m
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub lasts: Option<Duration>,
    /// Keeps the folder with logs and databases
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
