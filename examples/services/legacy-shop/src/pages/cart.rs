//! The cart, which is in the session; ordering what is in it; what was ordered.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use chassis::{Failure, Page};
use serde::Deserialize;
use serde_json::Value;

use super::visitor::Sent;
use super::{Frame, Trouble, Visitor, money};
use crate::Shop;
use crate::basket::{Basket, LINES_MAX, Method, MethodKind, QUANTITY_MAX};
use crate::catalogue::{of_id, these};
use crate::checkout::place;
use crate::orders::{Order, of_user};
use crate::refusal::explain;
use crate::session::{SessionId, keep_guest};

/// A line of the cart.
struct Line {
    id: String,
    name: String,
    each: String,
    quantity: i64,
    together: String,
}

#[derive(Template)]
#[template(path = "cart.html")]
struct CartPage {
    frame: Frame,
    lines: Vec<Line>,
    total: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "orders.html")]
struct OrdersPage<'a> {
    frame: Frame,
    orders: Vec<Order>,
    names: HashMap<&'a str, &'a str>,
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    product_id: String,
    quantity: i64,
}

#[derive(Deserialize)]
pub(super) struct Payment {
    method: MethodKind,
    #[serde(default)]
    token: String,
}

pub(super) async fn show(State(shop): State<Shop>, visitor: Visitor) -> Result<Response, Trouble> {
    Ok(visitor.shown(&cart_page(&shop, &visitor).await?))
}

/// Puts so many more into the cart.
pub(super) async fn add(
    State(shop): State<Shop>,
    Sent { visitor, form }: Sent<Wanted>,
) -> Result<Response, Trouble> {
    if !(1..=QUANTITY_MAX).contains(&form.quantity) {
        return Err(Failure::invalid(format!("1 to {QUANTITY_MAX} of one product")).into());
    }
    of_id(&shop.database, &form.product_id).await?;
    let mut write = shop.database.write().await?;
    keep_guest(&mut write, &visitor.session).await?;
    let count = "SELECT CAST(COUNT(*) AS BIGINT) FROM cart_lines WHERE session_id = $1";
    let lines: i64 = sqlx::query_scalar(count).bind(visitor.session.row()).fetch_one(&mut *write).await?;
    if usize::try_from(lines).is_ok_and(|lines| lines >= LINES_MAX) {
        return Err(Failure::invalid("the cart is full").into());
    }
    let put = "INSERT INTO cart_lines (session_id, product_id, quantity) VALUES ($1, $2, $3) \
               ON CONFLICT (session_id, product_id) DO UPDATE SET quantity = \
               CASE WHEN cart_lines.quantity + $3 > $4 THEN $4 ELSE cart_lines.quantity + $3 END";
    sqlx::query(put)
        .bind(visitor.session.row())
        .bind(form.product_id)
        .bind(form.quantity)
        .bind(QUANTITY_MAX)
        .execute(&mut *write)
        .await?;
    write.commit().await?;
    Ok(Redirect::to("/cart").into_response())
}

/// Says how many there are to be; none takes it out.
pub(super) async fn change(
    State(shop): State<Shop>,
    Sent { visitor, form }: Sent<Wanted>,
) -> Result<Response, Trouble> {
    if !(0..=QUANTITY_MAX).contains(&form.quantity) {
        return Err(Failure::invalid(format!("0 to {QUANTITY_MAX} of one product")).into());
    }
    let query = if form.quantity == 0 {
        "DELETE FROM cart_lines WHERE session_id = $1 AND product_id = $2 AND 0 = $3"
    } else {
        "UPDATE cart_lines SET quantity = $3 WHERE session_id = $1 AND product_id = $2"
    };
    let mut write = shop.database.write().await?;
    let query = sqlx::query(query).bind(visitor.session.row()).bind(form.product_id).bind(form.quantity);
    query.execute(&mut *write).await?;
    write.commit().await?;
    Ok(Redirect::to("/cart").into_response())
}

/// Orders what is in the cart. The cart is emptied in the transaction that orders: a button pressed twice orders once, and
/// an order that is refused leaves the cart as it was.
pub(super) async fn checkout(
    State(shop): State<Shop>,
    Sent { visitor, form }: Sent<Payment>,
) -> Result<Response, Trouble> {
    let user = match visitor.known() {
        Ok(user) => user,
        Err(to_the_door) => return Ok(to_the_door.into_response()),
    };
    let method = Method { kind: form.method, token: form.token };
    if let Err(failure) = method.check() {
        return refused(&shop, &visitor, &failure).await;
    }
    let mut write = shop.database.write().await?;
    let take = "DELETE FROM cart_lines WHERE session_id = $1 RETURNING product_id, quantity";
    let lines: Vec<(String, i64)> =
        sqlx::query_as(take).bind(visitor.session.row()).fetch_all(&mut *write).await?;
    if lines.is_empty() {
        return Ok(Redirect::to("/orders").into_response());
    }
    let basket = Basket::of(lines)?;
    match place(&mut write, &user.id, &basket, &method, None).await {
        Ok(_) => write.commit().await?,
        Err(why) => {
            drop(write);
            let Err(failure) = explain(&shop.database, &user.id, &basket, why).await else {
                return Ok(Redirect::to("/orders").into_response());
            };
            return refused(&shop, &visitor, &failure).await;
        }
    }
    Ok(Redirect::to("/orders").into_response())
}

pub(super) async fn orders(State(shop): State<Shop>, visitor: Visitor) -> Result<Response, Trouble> {
    let user = match visitor.known() {
        Ok(user) => user,
        Err(to_the_door) => return Ok(to_the_door.into_response()),
    };
    let orders = of_user(&shop.database, &user.id, Page { page: Some(1), size: Some(20) }).await?.items;
    let mut ids: Vec<String> =
        orders.iter().flat_map(|order| order.items.iter().map(|item| item.product_id.clone())).collect();
    ids.sort_unstable();
    ids.dedup();
    let products = these(&shop.database, &ids).await?;
    let names = products.iter().map(|product| (product.id.as_str(), product.name.as_str())).collect();
    Ok(visitor.shown(&OrdersPage { frame: visitor.frame(), orders, names }))
}

async fn refused(shop: &Shop, visitor: &Visitor, failure: &Failure) -> Result<Response, Trouble> {
    if failure.status().is_server_error() {
        return Err(Failure::new(failure.status(), "internal", failure.body().message.clone()).into());
    }
    let mut page = cart_page(shop, visitor).await?;
    let name = |short: &Value| {
        let id = short["product_id"].as_str().unwrap_or_default();
        page.lines.iter().find(|line| line.id == id).map_or(id, |line| line.name.as_str()).to_owned()
    };
    let short = failure.body().details.as_array().into_iter().flatten();
    let short: Vec<String> =
        short.map(|short| format!(" Of {} there are {}.", name(short), short["available"])).collect();
    page.wrong = Some(format!("Nothing was ordered: {}.{}", failure.body().message, short.concat()));
    Ok((failure.status(), visitor.shown(&page)).into_response())
}

async fn cart_page(shop: &Shop, visitor: &Visitor) -> Result<CartPage, Failure> {
    let (mut lines, mut total) = (Vec::new(), 0);
    for (id, name, cents, quantity) in in_cart(shop, &visitor.session).await? {
        total += cents * quantity;
        lines.push(Line { id, name, each: money(cents), quantity, together: money(cents * quantity) });
    }
    Ok(CartPage { frame: visitor.frame(), lines, total: money(total), wrong: None })
}

async fn in_cart(shop: &Shop, session: &SessionId) -> Result<Vec<(String, String, i64, i64)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT p.id, p.name, p.price_cents, c.quantity FROM cart_lines c JOIN products p ON p.id = c.product_id \
         WHERE c.session_id = $1 ORDER BY p.id",
    )
    .bind(session.row())
    .fetch_all(shop.database.pool())
    .await
}
