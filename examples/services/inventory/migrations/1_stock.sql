-- What there is. `reserved` of `on_hand` is promised; the rest is available. The last line is the last word.
CREATE TABLE stock (
    product_id TEXT   NOT NULL PRIMARY KEY,
    on_hand    BIGINT NOT NULL,
    reserved   BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    CHECK (reserved >= 0 AND on_hand >= reserved)
);

-- What was promised to whom. One that was released before it came is here too, without items.
CREATE TABLE reservation (
    reservation_id TEXT   NOT NULL PRIMARY KEY, -- the caller's name for it
    state          TEXT   NOT NULL,             -- held, confirmed, released, expired
    expires_at     BIGINT NOT NULL,
    changed_at     BIGINT NOT NULL
);
CREATE INDEX reservation_due ON reservation (state, expires_at);
CREATE INDEX reservation_old ON reservation (changed_at);

CREATE TABLE reservation_item (
    reservation_id TEXT   NOT NULL REFERENCES reservation (reservation_id) ON DELETE CASCADE,
    product_id     TEXT   NOT NULL,
    quantity       BIGINT NOT NULL,
    PRIMARY KEY (reservation_id, product_id)
);
