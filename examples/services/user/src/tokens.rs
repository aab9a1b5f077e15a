//! Tokens: what the shop says of a caller, signed, so that the gateway needs to ask nobody (RFC 9068).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chassis::{Failure, Settings, StartError, now_ms};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::accounts::{Account, Role, words};
use crate::keys::{Keys, TOKEN_SECONDS};

/// Makes tokens.
#[derive(Clone)]
pub(crate) struct Tokens {
    keys: Keys,
    issuer: String,
    audience: String,
    seconds: i64,
}

impl Tokens {
    pub(crate) fn of(settings: &Settings, keys: Keys) -> Result<Self, StartError> {
        let text = |name, default: &str| settings.text(name).unwrap_or(default).to_owned();
        Ok(Self {
            keys,
            issuer: text("ISSUER", "http://user.shop.example"),
            audience: text("AUDIENCE", "shop-api"),
            seconds: settings.parsed(TOKEN_SECONDS.0, TOKEN_SECONDS.1)?,
        })
    }

    /// How long one holds.
    pub(crate) fn seconds(&self) -> i64 {
        self.seconds
    }

    /// A token for this account, from now on.
    #[tracing::instrument(skip_all, name = "sign token")]
    pub(crate) async fn sign(&self, account: &Account) -> Result<String, Failure> {
        let key = self.keys.signer().await?;
        let now = now_ms() / 1000;
        let header = json!({ "alg": "RS256", "kid": key.kid, "typ": "at+jwt" });
        let claims = json!({
            "iss": self.issuer, "aud": self.audience, "sub": account.id, "iat": now, "exp": now + self.seconds,
            "jti": Uuid::now_v7(), "roles": words(&account.roles), "scope": scope(&account.roles),
        });
        let signed = format!("{}.{}", encoded(&header), encoded(&claims));
        let signature = key.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn encoded(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

/// What the roles may do, for who asks for a scope and not for a role.
fn scope(roles: &[Role]) -> String {
    const CUSTOMER: &[&str] = &["orders:read", "orders:write", "payments:read", "reviews:write"];
    const STAFF: &[&str] = &[
        "analytics:read",
        "inventory:write",
        "payments:write",
        "products:write",
        "shipments:write",
        "users:read",
    ];
    const ADMIN: &[&str] = &["notifications:write", "users:write"];
    let of = |role: &Role| match role {
        Role::Admin => [CUSTOMER, STAFF, ADMIN].concat(),
        Role::Customer => CUSTOMER.to_vec(),
        Role::Staff => [CUSTOMER, STAFF].concat(),
    };
    let mut scopes: Vec<_> = roles.iter().flat_map(of).collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Role, scope};

    #[test]
    fn each_role_may_do_more_than_the_one_before() {
        let [customer, staff, admin] = [Role::Customer, Role::Staff, Role::Admin].map(|role| scope(&[role]));
        assert_eq!(customer, "orders:read orders:write payments:read reviews:write");
        let has =
            |all: &str, some: &str| some.split(' ').all(|word| all.split(' ').any(|other| other == word));
        assert!(has(&staff, &customer) && has(&admin, &staff) && !has(&staff, &admin));
        assert_eq!(scope(&[Role::Customer, Role::Staff]), staff, "nothing is said twice");
        assert_eq!(scope(&[]), "");
    }
}
