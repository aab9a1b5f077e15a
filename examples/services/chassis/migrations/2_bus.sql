-- What a subscriber is owed, in the order in which it happened: the oldest are found without looking at the others.
DROP INDEX delivery_due;
CREATE INDEX delivery_owed ON delivery (state, subscriber, event_id);

-- Why an event that came over the broker was refused. The broker keeps the event; it cannot keep this.
CREATE TABLE refusal (
    event_id TEXT   NOT NULL PRIMARY KEY,
    attempts BIGINT NOT NULL,
    error    TEXT   NOT NULL,
    at       BIGINT NOT NULL
);
CREATE INDEX refusal_at ON refusal (at);
