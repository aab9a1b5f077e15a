//! Who the shoppers are. It shows *an issuer of tokens*: passwords that are slow to guess and do not slow down anybody
//! else (`passwords.rs`, `throttle.rs`), tokens that others check without asking (`tokens.rs`), and keys that are
//! replaced while nobody notices (`keys/`). Read `keys/life.rs` for how, and `sign_in.rs` for what a login is.
//!
//! Settings beside those of every service:
//!
//! | setting | default | |
//! |---|---|---|
//! | `ISSUER`, `AUDIENCE` | `http://user.shop.example`, `shop-api` | `iss` and `aud` of the tokens |
//! | `TOKEN_SECONDS` | 900 | how long a token holds; a role taken away is taken away after that |
//! | `KEY_SECONDS` | 604800 | how long a key signs |
//! | `KEY_GRACE_SECONDS` | 600 | how long a key is published before it signs |
//! | `KEY_CHECK_SECONDS` | 60 | how often it is looked whether a key is due |
//! | `PASSWORDS_AT_ONCE` | all cores but one | how many passwords are hashed at once |
//! | `LOGIN_TRIES` | 10 | wrong passwords of one account before it has to wait |
//! | `ADMIN_EMAIL`, `ADMIN_PASSWORD` | none | an admin that is made if nobody has the email yet |
//! | `SEED` | | `none`: a new database gets no demo users (see `seed.rs`; their password is public) |

use chassis::{App, Chassis, StartError};
use sqlx::migrate::Migrator;

mod accounts;
mod keys;
mod passwords;
mod profiles;
mod seed;
mod sign_in;
mod throttle;
mod tokens;
mod words;

/// Its tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Puts it together.
pub async fn assemble(chassis: &Chassis) -> Result<App, StartError> {
    let settings = &chassis.settings;
    let accounts = accounts::Accounts { database: chassis.database.clone(), outbox: chassis.outbox.clone() };
    let passwords = passwords::Passwords::of(settings).await?;
    let keys = keys::Keys::open(chassis.database.clone(), keys::Life::of(settings)?).await?;
    seed::sow(settings, &accounts, &passwords).await?;

    let check = keys::check_every(settings)?;
    chassis.spawn({
        let (keys, stop) = (keys.clone(), chassis.stop.clone());
        async move { keys.tend(check, stop).await }
    });
    let door = sign_in::Door {
        accounts: accounts.clone(),
        passwords: passwords.clone(),
        throttle: throttle::Throttle::of(settings)?,
        tokens: tokens::Tokens::of(settings, keys.clone())?,
    };
    let people = profiles::People { accounts, passwords };
    let health = keys.clone();
    let routes = sign_in::routes(door).merge(profiles::routes(people)).merge(keys::routes(keys));
    Ok(App::new(routes).health(|parts| {
        parts.vital("keys", move || {
            let keys = health.clone();
            async move { keys.signer().await.map(|_| ()).map_err(|error| error.to_string()) }
        });
    }))
}
