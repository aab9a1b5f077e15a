-- The facts: what was heard of, once each. They make the figures right when events come twice or in another order, and
-- are forgotten when nothing more is to be expected of them.
CREATE TABLE fact (
    kind    TEXT   NOT NULL,              -- order.placed
    subject TEXT   NOT NULL,              -- the id of the order
    at      BIGINT NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX fact_at ON fact (at);

-- Where each order stands, and what it was booked as, to be taken back as exactly that.
CREATE TABLE order_fact (
    order_id TEXT   NOT NULL PRIMARY KEY,
    status   TEXT   NOT NULL,             -- '' until it is known
    sale     TEXT   NOT NULL,             -- JSON; '' if it is not sold
    at       BIGINT NOT NULL
);
CREATE INDEX order_fact_at ON order_fact (at);

-- The figures: they are read as they stand.
CREATE TABLE daily (
    kind   TEXT   NOT NULL,
    day    TEXT   NOT NULL,               -- 2026-11-21, UTC
    times  BIGINT NOT NULL,
    amount BIGINT NOT NULL,               -- what they add up to: the stars of reviews
    PRIMARY KEY (kind, day)
);
CREATE TABLE standing (
    status TEXT   NOT NULL PRIMARY KEY,
    orders BIGINT NOT NULL
);
CREATE TABLE sales_day (
    day           TEXT   NOT NULL,
    currency      TEXT   NOT NULL,
    orders        BIGINT NOT NULL,
    pieces        BIGINT NOT NULL,
    revenue_cents BIGINT NOT NULL,
    PRIMARY KEY (day, currency)
);
CREATE TABLE sales_product (
    product_id    TEXT   NOT NULL,
    currency      TEXT   NOT NULL,
    orders        BIGINT NOT NULL,
    pieces        BIGINT NOT NULL,
    revenue_cents BIGINT NOT NULL,
    PRIMARY KEY (product_id, currency)
);
CREATE INDEX sales_product_best ON sales_product (revenue_cents, product_id);
