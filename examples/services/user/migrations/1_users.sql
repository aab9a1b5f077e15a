-- Who shops here. An email is kept as it is compared: in small letters.
CREATE TABLE account (
    id         TEXT   NOT NULL PRIMARY KEY,
    email      TEXT   NOT NULL UNIQUE,
    name       TEXT   NOT NULL,
    password   TEXT   NOT NULL,           -- argon2id, with its salt and its cost
    roles      TEXT   NOT NULL,           -- with spaces between them
    active     BIGINT NOT NULL,           -- 0: may not sign in
    created_at BIGINT NOT NULL
);

-- The keys tokens are signed with, one after the other. Replicas make the next one at the same time, and one of them
-- gets the number. Whoever can read this table can sign: a shop on the internet would keep the keys wrapped.
CREATE TABLE signing_key (
    generation   BIGINT NOT NULL PRIMARY KEY,
    kid          TEXT   NOT NULL,
    pkcs8        TEXT   NOT NULL,         -- DER, in base64
    published_at BIGINT NOT NULL,
    signs_at     BIGINT NOT NULL
);
