-- What is sent: one shipment an order. An order that was cancelled before anything was sent has a cancelled one, which
-- is also how a cancellation is remembered that came before the order.
CREATE TABLE shipment (
    id         TEXT   NOT NULL PRIMARY KEY, -- in order of time
    order_id   TEXT   NOT NULL UNIQUE,
    user_id    TEXT   NOT NULL,
    status     TEXT   NOT NULL,             -- created, dispatched, delivered, cancelled
    tracking   TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX shipment_of_user ON shipment (user_id, id);
CREATE INDEX shipment_waiting ON shipment (status, updated_at);
