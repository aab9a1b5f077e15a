CREATE TABLE payment (
    id             TEXT   NOT NULL PRIMARY KEY,
    charge_key     TEXT   NOT NULL UNIQUE,   -- one key, one payment, however often it is asked for
    order_id       TEXT   NOT NULL,
    user_id        TEXT   NOT NULL,
    amount_cents   BIGINT NOT NULL,
    currency       TEXT   NOT NULL,
    method         TEXT   NOT NULL,
    token          TEXT   NOT NULL,
    status         TEXT   NOT NULL,          -- pending, captured, declined, voided, refunded
    reason         TEXT   NOT NULL,
    refunded_cents BIGINT NOT NULL,
    lease_until    BIGINT NOT NULL,          -- while pending: somebody asks the provider until then
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    CHECK (refunded_cents >= 0 AND refunded_cents <= amount_cents)
);
CREATE INDEX payment_order ON payment (order_id);

CREATE TABLE refund (
    refund_key   TEXT   NOT NULL PRIMARY KEY,
    payment_id   TEXT   NOT NULL REFERENCES payment (id),
    amount_cents BIGINT NOT NULL,
    status       TEXT   NOT NULL,            -- pending, done
    created_at   BIGINT NOT NULL
);
CREATE INDEX refund_payment ON refund (payment_id);

-- What the provider has in its own books. In life it is somewhere else; here it is what nobody else may write to, and what
-- is counted when the question is whether anybody was charged twice.
CREATE TABLE provider_charge (
    charge_key     TEXT   NOT NULL PRIMARY KEY,
    order_id       TEXT   NOT NULL,
    amount_cents   BIGINT NOT NULL,
    refunded_cents BIGINT NOT NULL,
    status         TEXT   NOT NULL,          -- charged, declined, voided
    reason         TEXT   NOT NULL,
    at             BIGINT NOT NULL
);
CREATE INDEX provider_charge_order ON provider_charge (order_id);

CREATE TABLE provider_refund (
    refund_key   TEXT   NOT NULL PRIMARY KEY,
    charge_key   TEXT   NOT NULL,
    amount_cents BIGINT NOT NULL
);
