//! What is there on the first day: the catalogue with its stock, and three users **for demonstrations only**, whose password
//! everybody knows: `ada@shop.example` (customer), `staff@shop.example`, `admin@shop.example`. `SEED=none` leaves both out.

use chassis::{Chassis, StartError, now_ms};
use serde::Deserialize;

use crate::Shop;
use crate::products::NewProduct;

const CATALOGUE: &str = include_str!("../../catalogue.json");
const PASSWORD: &str = "correct horse battery";
const USERS: [(&str, &str, &str); 3] = [
    ("ada", "Ada", "customer"),
    ("staff", "Sam of the staff", "staff"),
    ("admin", "Alex the admin", "admin"),
];

#[derive(Deserialize)]
struct Stocked {
    id: String,
    stock: i64,
    name: String,
    description: String,
    category: String,
    price_cents: i64,
    currency: String,
    tags: Vec<String>,
}

/// Fills an empty shop.
pub(crate) async fn fill(chassis: &Chassis, shop: &Shop) -> Result<(), StartError> {
    if chassis.settings.text("SEED") == Some("none") {
        return Ok(());
    }
    let catalogue: Vec<Stocked> = serde_json::from_str(CATALOGUE)
        .map_err(|error| StartError::Other(format!("the catalogue: {error}")))?;
    let is_empty: Option<String> =
        sqlx::query_scalar("SELECT id FROM products LIMIT 1").fetch_optional(shop.database.pool()).await?;
    if is_empty.is_none() {
        let mut write = shop.database.write().await?;
        for Stocked { id, stock, name, description, category, price_cents, currency, tags } in catalogue {
            let product = NewProduct { id: None, name, description, category, price_cents, currency, tags };
            product.insert(&mut write, &id, stock).await?;
        }
        write.commit().await?;
    }
    let nobody: Option<String> =
        sqlx::query_scalar("SELECT id FROM users LIMIT 1").fetch_optional(shop.database.pool()).await?;
    if nobody.is_none() {
        let failed = |failure| StartError::Other(format!("the first users: {failure}"));
        let hash = shop.passwords.hash(PASSWORD).await.map_err(failed)?;
        let mut write = shop.database.write().await?;
        for (id, name, roles) in USERS {
            let query = "INSERT INTO users (id, email, name, roles, password, created_at) \
                         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
            sqlx::query(query)
                .bind(format!("u-{id}"))
                .bind(format!("{id}@shop.example"))
                .bind(name)
                .bind(roles)
                .bind(&hash)
                .bind(now_ms())
                .execute(&mut *write)
                .await?;
        }
        write.commit().await?;
    }
    Ok(())
}
