-- One database for everything. Every module reads, and many write, the tables of the others.

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    password TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- The id is a hash: whoever reads this table cannot take over a session.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    user_id TEXT,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_expire ON sessions (expires_at);
CREATE INDEX sessions_of_user ON sessions (user_id, expires_at);

CREATE TABLE cart_lines (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    product_id TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    PRIMARY KEY (session_id, product_id)
);

-- `words` is for the search: lower case, one blank around each word.
CREATE TABLE products (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    category TEXT NOT NULL,
    price_cents BIGINT NOT NULL,
    currency TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    words TEXT NOT NULL
);
CREATE INDEX products_by_category ON products (category, id);

CREATE TABLE product_tags (
    product_id TEXT NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (product_id, tag)
);

CREATE TABLE stock (
    product_id TEXT PRIMARY KEY,
    on_hand BIGINT NOT NULL CHECK (on_hand >= 0)
);

CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL,
    total_cents BIGINT NOT NULL,
    currency TEXT NOT NULL,
    reason TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX orders_of_user ON orders (user_id, id);
CREATE INDEX orders_by_time ON orders (created_at);

CREATE TABLE order_items (
    order_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    unit_cents BIGINT NOT NULL,
    PRIMARY KEY (order_id, product_id)
);
CREATE INDEX order_items_by_product ON order_items (product_id, order_id);

CREATE TABLE order_history (
    order_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (order_id, position)
);

-- Who orders twice under one key has ordered once.
CREATE TABLE order_keys (
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    order_id TEXT NOT NULL UNIQUE,
    request TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, name)
);
CREATE INDEX order_keys_by_time ON order_keys (created_at);

CREATE TABLE payments (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL,
    amount_cents BIGINT NOT NULL,
    refunded_cents BIGINT NOT NULL,
    currency TEXT NOT NULL,
    method TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX payments_of_order ON payments (order_id);

CREATE TABLE shipments (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL,
    tracking TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX shipments_of_order ON shipments (order_id);

CREATE TABLE notifications (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    template TEXT NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    order_id TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX notifications_of_user ON notifications (user_id, id);

CREATE TABLE reviews (
    id TEXT PRIMARY KEY,
    product_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    rating BIGINT NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (product_id, user_id)
);
