-- What the shop sells.
CREATE TABLE product (
    id          TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    description TEXT   NOT NULL,
    category    TEXT   NOT NULL,
    price_cents BIGINT NOT NULL,
    currency    TEXT   NOT NULL,
    tags        TEXT   NOT NULL,           -- with spaces between them
    version     BIGINT NOT NULL,           -- one more with each change
    updated_at  BIGINT NOT NULL
);
CREATE INDEX product_category ON product (category, id);

-- One row: how often anything has changed. Lists are known by it.
CREATE TABLE catalogue (
    id       BIGINT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL
);
INSERT INTO catalogue (id, revision) VALUES (1, 0);

-- Which words lead to which products. Written in the transaction of the product.
CREATE TABLE word (
    word       TEXT   NOT NULL,
    product_id TEXT   NOT NULL,
    weight     BIGINT NOT NULL,
    head       BIGINT NOT NULL,           -- how the word begins, as a number: see src/search/words.rs
    PRIMARY KEY (word, product_id)
);
CREATE INDEX word_head ON word (head);
CREATE INDEX word_product ON word (product_id);
