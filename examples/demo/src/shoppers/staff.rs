//! Somebody of the staff, who fills the shelves.

use serde_json::json;

use super::customer::Street;
use super::figures::Outcome;

/// The shop has this account from its first day.
const STAFF: &str = "staff@shop.example";

impl Street {
    /// So many of each of these products are on the shelf now; or what the shop said instead.
    pub async fn fill(&self, products: &[String], on_hand: i64) -> Result<(), String> {
        let staff = self.known(STAFF);
        let signed_in = staff.log_in().await;
        if !matches!(signed_in.outcome, Outcome::Fine(_)) {
            return Err(format!("staff cannot sign in: {:?}", signed_in.outcome));
        }
        for product in products {
            let answer = staff
                .fill(product, &json!({ "on_hand": on_hand }))
                .await
                .map_err(|error| error.to_string())?;
            if !answer.is_success() {
                return Err(format!("the shelf of {product}: {answer}"));
            }
        }
        Ok(())
    }
}
