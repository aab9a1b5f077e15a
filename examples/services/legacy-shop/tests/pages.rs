//! The pages, as a browser without scripts uses them: it follows links, sends forms, and carries one cookie.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chassis::testing::Tried;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use serde_json::json;

async fn shop() -> Tried {
    Tried::start("legacy-shop", &legacy_shop::MIGRATIONS, &[], legacy_shop::assemble).await.unwrap()
}

/// What a browser is to a shop.
struct Browser<'a> {
    shop: &'a Tried,
    client: Client,
    cookie: String,
}

/// What it shows.
struct Shown {
    status: u16,
    text: String,
    to: Option<String>,
}

impl<'a> Browser<'a> {
    fn new(shop: &'a Tried) -> Self {
        Self {
            shop,
            client: Client::builder().redirect(Policy::none()).build().unwrap(),
            cookie: String::new(),
        }
    }

    async fn send(&mut self, request: RequestBuilder) -> Shown {
        let answer = request.header(COOKIE, &self.cookie).send().await.unwrap();
        if let Some(cookie) = answer.headers().get(SET_COOKIE) {
            self.cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
        let to = answer.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
        Shown { status: answer.status().as_u16(), to, text: answer.text().await.unwrap() }
    }

    async fn open(&mut self, path: &str) -> Shown {
        self.send(self.client.get(format!("{}{path}", self.shop.url()))).await
    }

    /// Fills in the form of a page, and sends it with what is hidden in it.
    async fn fill(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Shown {
        let token = form_token(&self.open(page).await.text);
        let mut all = vec![("csrf", token.as_str())];
        all.extend_from_slice(fields);
        self.post(action, &all).await
    }

    async fn post(&mut self, action: &str, fields: &[(&str, &str)]) -> Shown {
        let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = self.client.post(format!("{}{action}", self.shop.url()));
        self.send(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(pairs.join("&")))
            .await
    }

    async fn sign_in(&mut self, email: &str, password: &str) -> Shown {
        self.fill("/login", "/login", &[("email", email), ("password", password)]).await
    }
}

fn form_token(page: &str) -> String {
    let (_, after) = page.split_once("name=\"csrf\" value=\"").unwrap();
    after.split('"').next().unwrap().to_owned()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn counted(shop: &Tried, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(shop.chassis().database.pool()).await.unwrap()
}

#[tokio::test]
async fn who_only_looks_leaves_nothing_behind() {
    let shop = shop().await;
    let mut browser = Browser::new(&shop);
    let front = browser.open("/").await;
    assert!(front.text.contains("Espresso roast, whole beans") && front.text.contains("14.50 €"));
    assert!(front.text.contains("/?category=&#38;page=2"), "there is more, and the link is escaped");
    assert!(browser.cookie.starts_with("shop_session="));
    assert!(browser.open("/?page=3").await.text.contains("Pencils, dozen"));
    let tea = browser.open("/?category=tea").await.text;
    assert!(tea.contains("Earl Grey") && !tea.contains("Compass"));
    let product = browser.open("/products/p-015").await.text;
    assert!(product.contains("Chef&#39;s knife, 20 cm"), "escaped");
    assert!(browser.open("/search?q=cast+iron").await.text.contains("Cast iron teapot"));
    let odd = browser.open("/search?q=%3Cscript%3E").await.text;
    assert!(!odd.contains("<script>") && odd.contains("There is nothing here"));
    let gone = browser.open("/products/p-999").await;
    assert!(gone.status == 404 && gone.text.contains("there is no such product"));
    assert_eq!(browser.open("/nowhere").await.status, 404);
    assert_eq!(counted(&shop, "SELECT CAST(COUNT(*) AS BIGINT) FROM sessions").await, 0);
    let page = shop.get("/").await;
    assert!(page.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    assert_eq!(page.headers["cache-control"], "private, no-store");
}

#[tokio::test]
async fn somebody_fills_a_cart_registers_and_orders() {
    let shop = shop().await;
    let mut browser = Browser::new(&shop);
    let put = [("product_id", "p-001"), ("quantity", "2")];
    let added = browser.fill("/products/p-001", "/cart", &put).await;
    assert_eq!((added.status, added.to.as_deref()), (303, Some("/cart")), "{}", added.text);
    browser.fill("/products/p-006", "/cart", &[("product_id", "p-006"), ("quantity", "1")]).await;
    let cart = browser.open("/cart").await.text;
    assert!(cart.contains("Cart (2)") && cart.contains("53.00 €") && cart.contains("Sign in"));
    let one = [("product_id", "p-001"), ("quantity", "1")];
    browser.fill("/cart", "/cart/change", &one).await;
    browser.fill("/cart", "/cart/change", &[("product_id", "p-006"), ("quantity", "0")]).await;
    let before = browser.cookie.clone();
    let new = [("name", "Eve <b>"), ("email", "eve@shop.example"), ("password", "short")];
    let refused = browser.fill("/register", "/register", &new).await;
    assert!(refused.status == 400 && refused.text.contains("10 to 128 letters"), "{}", refused.text);
    let new = [("name", "Eve <b>"), ("email", "eve@shop.example"), ("password", "long enough for this")];
    let opened = browser.fill("/register", "/register", &new).await;
    assert_eq!((opened.status, opened.to.as_deref()), (303, Some("/cart")), "{}", opened.text);
    assert_ne!(browser.cookie, before, "who signs in gets a new session");
    let cart = browser.open("/cart").await.text;
    assert!(cart.contains("14.50 €") && cart.contains("Sign out, Eve &#60;b&#62;"), "the cart came along");
    let declined = browser.fill("/cart", "/checkout", &[("method", "card"), ("token", "tok_declined")]).await;
    assert!(declined.status == 402 && declined.text.contains("the bank declines"), "{}", declined.text);
    let ordered = browser.fill("/cart", "/checkout", &[("method", "card"), ("token", "tok_visa")]).await;
    assert_eq!((ordered.status, ordered.to.as_deref()), (303, Some("/orders")), "{}", ordered.text);
    let orders = browser.open("/orders").await.text;
    assert!(orders.contains("1 × <a href=\"/products/p-001\">Espresso roast, whole beans</a>"), "{orders}");
    assert!(orders.contains(">completed<") && orders.contains(">rejected<"));
    let empty = browser.open("/cart").await.text;
    assert!(empty.contains("There is nothing in it"));
    let session = browser.cookie.clone();
    let told = shop.ask("GET", "/api/orders", &[("cookie", &session)], &json!(null)).await;
    assert_eq!(told.body["total"], 2, "the API knows the same session");
}

#[tokio::test]
async fn a_button_pressed_twice_orders_once() {
    let shop = shop().await;
    let mut browser = Browser::new(&shop);
    browser.sign_in("ada@shop.example", "correct horse battery").await;
    browser.fill("/products/p-001", "/cart", &[("product_id", "p-001"), ("quantity", "1")]).await;
    let token = form_token(&browser.open("/cart").await.text);
    let press = async || {
        let mut again = Browser::new(&shop);
        again.cookie.clone_from(&browser.cookie);
        let form = [("csrf", token.as_str()), ("method", "card"), ("token", "tok_visa")];
        again.post("/checkout", &form).await.status
    };
    let statuses = futures_util::future::join_all((0..5).map(|_| press())).await;
    assert_eq!(statuses, [303; 5]);
    assert_eq!(counted(&shop, "SELECT CAST(COUNT(*) AS BIGINT) FROM orders").await, 1);
}

#[tokio::test]
async fn a_form_that_is_not_ours_is_refused() {
    let shop = shop().await;
    let mut ada = Browser::new(&shop);
    ada.sign_in("ada@shop.example", "correct horse battery").await;
    let mut other = Browser::new(&shop);
    let foreign = form_token(&other.open("/login").await.text);
    for action in ["/login", "/register", "/logout", "/cart", "/cart/change", "/checkout"] {
        for token in ["", foreign.as_str(), "é"] {
            let everything = [
                ("csrf", token),
                ("email", "staff@shop.example"),
                ("password", "correct horse battery"),
                ("name", "Mallory"),
                ("product_id", "p-001"),
                ("quantity", "1"),
                ("method", "card"),
                ("token", "tok_visa"),
            ];
            let cookie = ada.cookie.clone();
            assert_eq!(ada.post(action, &everything).await.status, 403, "{action} with {token:?}");
            assert_eq!(ada.cookie, cookie, "{action} changes nothing");
        }
    }
    let mut nobody = Browser::new(&shop);
    let bare =
        [("csrf", foreign.as_str()), ("email", "ada@shop.example"), ("password", "correct horse battery")];
    assert_eq!(nobody.post("/login", &bare).await.status, 403, "a token without its cookie");
    assert!(ada.open("/").await.text.contains("Sign out, Ada"), "still herself");
    assert_eq!(counted(&shop, "SELECT CAST(COUNT(*) AS BIGINT) FROM cart_lines").await, 0);
}

#[tokio::test]
async fn a_session_ends_when_it_is_ended_and_when_its_time_is_over() {
    let shop = shop().await;
    let mut browser = Browser::new(&shop);
    let wrong = browser.sign_in("ada@shop.example", "incorrect horse").await;
    assert!(wrong.status == 401 && wrong.text.contains("the mail address or the password is wrong"));
    assert_eq!(browser.open("/orders").await.to.as_deref(), Some("/login"));
    browser.sign_in("ada@shop.example", "correct horse battery").await;
    let stolen = browser.cookie.clone();
    assert_eq!(browser.open("/orders").await.status, 200);
    assert_eq!(browser.fill("/", "/logout", &[]).await.status, 303);
    let mut thief = Browser::new(&shop);
    thief.cookie = stolen;
    assert_eq!(thief.open("/orders").await.to.as_deref(), Some("/login"));

    browser.sign_in("ada@shop.example", "correct horse battery").await;
    browser.fill("/products/p-001", "/cart", &[("product_id", "p-001"), ("quantity", "1")]).await;
    let mut write = shop.chassis().database.write().await.unwrap();
    sqlx::query("UPDATE sessions SET expires_at = 1").execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(browser.open("/orders").await.to.as_deref(), Some("/login"));
    let session = browser.cookie.clone();
    let told = shop.ask("GET", "/api/orders", &[("cookie", &session)], &json!(null)).await;
    assert_eq!(told.status, 401);
    browser.fill("/products/p-002", "/cart", &[("product_id", "p-002"), ("quantity", "1")]).await;
    assert!(browser.open("/cart").await.text.contains("Cart (1)"), "a guest begins anew");
    assert_eq!(browser.open("/orders").await.to.as_deref(), Some("/login"), "and is nobody");
}

#[tokio::test]
async fn what_is_sold_out_stays_in_the_cart_and_is_told() {
    let shop = shop().await;
    let mut browser = Browser::new(&shop);
    browser.sign_in("ada@shop.example", "correct horse battery").await;
    browser.fill("/products/p-001", "/cart", &[("product_id", "p-001"), ("quantity", "3")]).await;
    let staff = [("x-user-id", "u-staff"), ("x-user-roles", "staff")];
    shop.ask("PUT", "/api/inventory/p-001", &staff, &json!({ "on_hand": 2 })).await;
    let refused = browser.fill("/cart", "/checkout", &[("method", "invoice"), ("token", "")]).await;
    assert!(
        refused.status == 409 && refused.text.contains("Of Espresso roast, whole beans there are 2."),
        "{}",
        refused.text
    );
    assert!(browser.open("/cart").await.text.contains("Cart (1)"));
    shop.ask("PUT", "/api/inventory/p-001", &staff, &json!({ "on_hand": 0 })).await;
    assert!(browser.open("/products/p-001").await.text.contains("This is sold out."));
}
