//! What there is to buy: the front page, the search, a product.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chassis::{Failure, Page, Params, Part};
use serde::Deserialize;

use super::{Frame, Trouble, Visitor, money};
use crate::catalogue::{Product, category_counts, of_id, shelf, these};
use crate::reviews::{Review, in_figures, of_product};
use crate::told::Listing;
use crate::{Shop, recommendations, search, stock};

const CARDS: u32 = 24;

/// A product on a shelf.
struct Card {
    id: String,
    name: String,
    category: String,
    letter: char,
    price: String,
    stars: Option<String>,
    in_stock: bool,
}

/// A category and how much is in it.
struct Shelf {
    name: String,
    products: i64,
}

#[derive(Template)]
#[template(path = "shelf.html")]
struct ShelfPage {
    frame: Frame,
    heading: String,
    query: String,
    shelves: Vec<Shelf>,
    category: String,
    cards: Vec<Card>,
    total: i64,
    before: Option<String>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "product.html")]
struct ProductPage {
    frame: Frame,
    card: Card,
    description: String,
    tags: Vec<String>,
    stock: i64,
    reviews: Vec<Review>,
    beside: Vec<Card>,
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    category: String,
    page: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    q: String,
    page: Option<u32>,
}

/// The front page: everything, or one category.
pub(super) async fn front(
    State(shop): State<Shop>,
    visitor: Visitor,
    Params(wanted): Params<Wanted>,
) -> Result<Response, Trouble> {
    let page = Page { page: wanted.page, size: Some(CARDS) };
    let category = Some(wanted.category.as_str()).filter(|category| !category.is_empty());
    let listing = shelf(&shop.database, category, page).await?;
    let counts = category_counts(&shop.database).await?.into_iter();
    let mut shelves: Vec<Shelf> = counts.map(|(name, products)| Shelf { name, products }).collect();
    shelves.sort_by(|one, other| one.name.cmp(&other.name));
    let heading = category.map_or_else(|| "Everything we have".to_owned(), capital);
    let link = |number| format!("/?category={}&page={number}", encoded(&wanted.category));
    let (before, after) = neighbours(&listing, link);
    let (total, cards) = (listing.total, cards(&shop, listing.items).await?);
    let (frame, category, query) = (visitor.frame(), wanted.category, String::new());
    Ok(visitor.shown(&ShelfPage { frame, heading, query, shelves, category, cards, total, before, after }))
}

/// What is found.
pub(super) async fn search(
    State(shop): State<Shop>,
    visitor: Visitor,
    Params(wanted): Params<Query>,
) -> Result<Response, Trouble> {
    let query: String = wanted.q.chars().take(200).collect();
    let page = Page { page: wanted.page, size: Some(CARDS) };
    let listing = search::found(&shop.database, &query, page).await?;
    let (before, after) =
        neighbours(&listing, |number| format!("/search?q={}&page={number}", encoded(&query)));
    let (total, cards) = (listing.total, cards(&shop, listing.items).await?);
    let heading = if query.is_empty() { "Search".to_owned() } else { format!("Found for “{query}”") };
    let (frame, shelves, category) = (visitor.frame(), Vec::new(), String::new());
    Ok(visitor.shown(&ShelfPage { frame, heading, query, shelves, category, cards, total, before, after }))
}

/// One product.
pub(super) async fn product(
    State(shop): State<Shop>,
    visitor: Visitor,
    Part(id): Part<String>,
) -> Result<Response, Trouble> {
    let product = of_id(&shop.database, &id).await?;
    let stock = stock::on_hand(&shop.database, &id).await?.unwrap_or(0);
    let page = Page { page: Some(1), size: Some(5) };
    let reviews = of_product(&shop.database, &id, page).await?.items;
    let beside = recommendations::with_product(&shop.database, &id).await?;
    let beside: Vec<String> = beside.into_iter().take(4).map(|other| other.product_id).collect();
    let beside = cards(&shop, these(&shop.database, &beside).await?).await?;
    let (description, tags) = (product.description.clone(), product.tags.iter().cloned().collect());
    let (frame, card) = (visitor.frame(), card(&shop, product).await?);
    Ok(visitor.shown(&ProductPage { frame, card, description, tags, stock, reviews, beside }))
}

/// N+1: each card asks the database twice, for its stock and for its stars. Kept, since it is what a page of this age does;
/// the list in the API shows how it is done with one statement.
async fn cards(shop: &Shop, products: Vec<Product>) -> Result<Vec<Card>, Failure> {
    let mut cards = Vec::with_capacity(products.len());
    for product in products {
        cards.push(card(shop, product).await?);
    }
    Ok(cards)
}

async fn card(shop: &Shop, product: Product) -> Result<Card, Failure> {
    let stock = stock::on_hand(&shop.database, &product.id).await?.unwrap_or(0);
    let said = in_figures(&shop.database, &product.id).await?;
    Ok(Card {
        letter: product.name.chars().next().unwrap_or('?'),
        price: money(product.price_cents),
        stars: (said.count > 0).then(|| format!("{:.1} of 5", said.average)),
        in_stock: stock > 0,
        id: product.id,
        name: product.name,
        category: product.category,
    })
}

fn neighbours(listing: &Listing<Product>, link: impl Fn(i64) -> String) -> (Option<String>, Option<String>) {
    let before = (listing.page > 1).then(|| link(listing.page - 1));
    let after = (listing.page * listing.size < listing.total).then(|| link(listing.page + 1));
    (before, after)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// As a link carries it. Whatever is no letter or digit is written as its bytes.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}
