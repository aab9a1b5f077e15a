//! The first accounts: an admin, if the settings name one, and a few people to try the shop with.
//!
//! **The demo users are for demos.** Their password is the one below and everybody can read it here. A shop that is
//! for real starts with `SEED=none`.

use chassis::{Failure, Settings, StartError};

use crate::accounts::{Accounts, Role};
use crate::passwords::Passwords;
use crate::words::NewUser;

const DEMO_PASSWORD: &str = "correct horse battery";
const DEMO_USERS: [(&str, &str, Role); 3] = [
    ("ada@shop.example", "Ada", Role::Customer),
    ("staff@shop.example", "Sam of the staff", Role::Staff),
    ("admin@shop.example", "Alex the admin", Role::Admin),
];

/// Makes those that are to be there from the beginning. An account that is there already is left as it is: else
/// whoever registered the admin's email first would become one.
pub(crate) async fn sow(
    settings: &Settings,
    accounts: &Accounts,
    passwords: &Passwords,
) -> Result<(), StartError> {
    let is_new = accounts.is_empty().await?;
    if let Some(email) = settings.text("ADMIN_EMAIL") {
        let password = settings.required("ADMIN_PASSWORD")?.to_owned();
        let new = NewUser { email: email.to_owned(), name: "Admin".to_owned(), password };
        let admin = new.checked().map_err(|failure| wrong(&failure))?;
        match accounts.of_email(&admin.email).await? {
            Some(account) if !account.roles.contains(&Role::Admin) => {
                tracing::warn!(
                    user = account.id,
                    "ADMIN_EMAIL belongs to somebody who is no admin; it stays so"
                );
            }
            Some(_) => {}
            None => {
                let hash = passwords.hash(admin.password).await.map_err(|failure| wrong(&failure))?;
                accounts.make(&admin.email, &admin.name, &hash, &[Role::Admin]).await?;
            }
        }
    }
    if is_new && settings.text("SEED") != Some("none") {
        for (email, name, role) in DEMO_USERS {
            let hash = passwords.hash(DEMO_PASSWORD.to_owned()).await.map_err(|failure| wrong(&failure))?;
            accounts.make(email, name, &hash, &[role]).await?;
        }
        tracing::warn!("made users for demos, whose password is public; SEED=none makes none");
    }
    Ok(())
}

fn wrong(failure: &Failure) -> StartError {
    StartError::Other(format!("the first accounts: {failure} {}", failure.body().details))
}
