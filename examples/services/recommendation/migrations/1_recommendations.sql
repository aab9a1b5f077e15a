-- What is bought in one order. Both ways, so that what goes with a product is found under it.
CREATE TABLE pair (
    product_id TEXT   NOT NULL,
    other_id   TEXT   NOT NULL,
    orders     BIGINT NOT NULL,
    at         BIGINT NOT NULL,           -- the last time
    PRIMARY KEY (product_id, other_id)
);
CREATE INDEX pair_often ON pair (product_id, orders, at);

-- How a product does.
CREATE TABLE product (
    product_id   TEXT   NOT NULL PRIMARY KEY,
    orders       BIGINT NOT NULL,         -- in so many
    sold         BIGINT NOT NULL,         -- so many pieces
    ratings      BIGINT NOT NULL,
    rating_total BIGINT NOT NULL
);
CREATE INDEX product_sold ON product (sold);

-- What a user has.
CREATE TABLE purchase (
    user_id    TEXT   NOT NULL,
    product_id TEXT   NOT NULL,
    at         BIGINT NOT NULL,           -- the last time
    PRIMARY KEY (user_id, product_id)
);
CREATE INDEX purchase_newest ON purchase (user_id, at);
