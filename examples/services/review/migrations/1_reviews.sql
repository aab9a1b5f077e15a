-- What shoppers say. One of a user about a product.
CREATE TABLE review (
    id         TEXT   NOT NULL PRIMARY KEY, -- in order of time
    product_id TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    rating     BIGINT NOT NULL,
    title      TEXT   NOT NULL,
    text       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (product_id, user_id)
);
CREATE INDEX review_newest ON review (product_id, id);

-- How often a product was given so many stars: kept with every review, so that a summary reads five rows at most.
CREATE TABLE stars (
    product_id TEXT   NOT NULL,
    rating     BIGINT NOT NULL,
    reviews    BIGINT NOT NULL,
    PRIMARY KEY (product_id, rating)
);
