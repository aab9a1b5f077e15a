-- What is to be told. Written in the same transaction as what it tells of.
CREATE TABLE outbox (
    id          TEXT   NOT NULL PRIMARY KEY,
    body        TEXT   NOT NULL,
    traceparent TEXT   NOT NULL,
    at          BIGINT NOT NULL
);
CREATE INDEX outbox_at ON outbox (at);

-- To whom it is still to be told.
CREATE TABLE delivery (
    event_id    TEXT   NOT NULL,
    subscriber  TEXT   NOT NULL,
    state       TEXT   NOT NULL,           -- waiting, done, dead
    attempts    BIGINT NOT NULL,           -- how often it was refused
    next_at     BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,           -- somebody is at it until then
    last_error  TEXT,
    PRIMARY KEY (event_id, subscriber)
);
CREATE INDEX delivery_due ON delivery (state, next_at);

-- What was heard already. Written in the same transaction as what came of it.
CREATE TABLE inbox (
    event_id TEXT   NOT NULL PRIMARY KEY,
    at       BIGINT NOT NULL
);
CREATE INDEX inbox_at ON inbox (at);
