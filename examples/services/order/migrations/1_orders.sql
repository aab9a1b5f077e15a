-- What happened to each order, in order. Nothing here is ever changed or deleted: these are the books of the shop.
CREATE TABLE order_event (
    order_id TEXT   NOT NULL,
    version  BIGINT NOT NULL,
    body     TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (order_id, version)      -- of two who add the same version, one learns that it came second
);

-- What an order is after so many events, so that not all of them have to be read again.
CREATE TABLE order_snapshot (
    order_id TEXT   NOT NULL PRIMARY KEY,
    version  BIGINT NOT NULL,
    body     TEXT   NOT NULL
);

-- The work that is left. Which step is next is known from the events; here stands when, and who is at it. Closed work is
-- forgotten after a while.
CREATE TABLE saga (
    order_id    TEXT   NOT NULL PRIMARY KEY,
    state       TEXT   NOT NULL,         -- open, closed
    next_at     BIGINT NOT NULL,         -- of closed work: when it was closed
    lease_until BIGINT NOT NULL,
    holder      TEXT   NOT NULL,         -- the name of the lease: only its holder writes
    attempts    BIGINT NOT NULL,
    last_error  TEXT   NOT NULL,
    traceparent TEXT   NOT NULL,
    opened_at   BIGINT NOT NULL
);
CREATE INDEX saga_due ON saga (state, next_at);

-- The same request twice is the same order, for a week.
CREATE TABLE order_key (
    user_id     TEXT   NOT NULL,
    request_key TEXT   NOT NULL,
    request     TEXT   NOT NULL,
    order_id    TEXT   NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (user_id, request_key)
);
CREATE INDEX order_key_at ON order_key (at);

-- The read model: what lists are made from. It can be thrown away and made again from the events.
CREATE TABLE order_view (
    order_id    TEXT   NOT NULL PRIMARY KEY,
    version     BIGINT NOT NULL,
    user_id     TEXT   NOT NULL,
    status      TEXT   NOT NULL,
    body        TEXT   NOT NULL,
    total_cents BIGINT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE INDEX order_view_user ON order_view (user_id, created_at, order_id);
CREATE INDEX order_view_all ON order_view (created_at, order_id);

-- Orders whose read model is behind.
CREATE TABLE order_behind (
    order_id TEXT   NOT NULL PRIMARY KEY,
    version  BIGINT NOT NULL
);
