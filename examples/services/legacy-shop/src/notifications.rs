//! `/api/notifications`: what customers were told. Any module tells, in its own transaction, by [`tell`].

use axum::Json;
use axum::extract::State;
use chassis::{Caller, Failure, FailureBody, Page, Params, Write, now_ms};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shop;
use crate::told::{Listing, row_id, time};

/// What somebody was told.
#[derive(Debug, FromRow, Serialize, ToSchema)]
struct Notification {
    id: String,
    channel: String,
    template: String,
    subject: String,
    text: String,
    order_id: Option<String>,
    #[serde(serialize_with = "time")]
    #[schema(value_type = String)]
    created_at: i64,
}

pub(crate) fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::new().routes(routes!(list))
}

/// What the caller was told, the latest first.
#[utoipa::path(get, path = "/api/notifications", tag = "notifications", params(Page),
    responses((status = 200, body = Listing<Notification>), (status = 401, body = FailureBody)))]
async fn list(
    State(shop): State<Shop>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Json<Listing<Notification>>, Failure> {
    let count = "SELECT CAST(COUNT(*) AS BIGINT) FROM notifications WHERE user_id = $1";
    let total = sqlx::query_scalar(count).bind(&caller.id).fetch_one(shop.database.pool()).await?;
    let rows = "SELECT * FROM notifications WHERE user_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3";
    let rows = sqlx::query_as(rows).bind(&caller.id).bind(page.size()).bind(page.offset());
    Ok(Json(Listing::new(rows.fetch_all(shop.database.pool()).await?, page, total)))
}

/// Tells a user that this has happened. "Sent" is a row and a line in the log.
pub(crate) async fn tell(
    write: &mut Write,
    user_id: &str,
    template: &str,
    order_id: Option<&str>,
) -> Result<(), sqlx::Error> {
    let order = order_id.unwrap_or_default();
    let (subject, text) = match template {
        "order.cancelled" => {
            ("Your order is cancelled", format!("Order {order} is cancelled; the money is on its way."))
        }
        "order.completed" => ("Thank you for your order", format!("Order {order} is paid and being packed.")),
        "shipment.delivered" => ("Your parcel was delivered", format!("Enjoy it! This was order {order}.")),
        "shipment.dispatched" => {
            ("Your parcel is on its way", format!("What you ordered as {order} has left the house."))
        }
        _ => ("Welcome to the shop", "Your account is ready.".to_owned()),
    };
    sqlx::query(
        "INSERT INTO notifications (id, user_id, channel, template, subject, text, order_id, created_at) \
         VALUES ($1, $2, 'mail', $3, $4, $5, $6, $7)",
    )
    .bind(row_id())
    .bind(user_id)
    .bind(template)
    .bind(subject)
    .bind(text)
    .bind(order_id)
    .bind(now_ms())
    .execute(&mut **write)
    .await?;
    tracing::debug!(channel = "mail", to = user_id, subject, "told");
    Ok(())
}
