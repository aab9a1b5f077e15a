-- What there is to say, in versions: the highest one is used, the older ones are kept for a while.
CREATE TABLE template (
    name       TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    subject    TEXT   NOT NULL,
    text       TEXT   NOT NULL,           -- for mail
    short      TEXT   NOT NULL,           -- for SMS and push
    updated_by TEXT   NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);

-- Who is written to, and how they want it.
CREATE TABLE addressee (
    user_id TEXT   NOT NULL PRIMARY KEY,
    email   TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    phone   TEXT   NOT NULL,
    mail    BIGINT NOT NULL,
    push    BIGINT NOT NULL,
    sms     BIGINT NOT NULL
);

-- How far an order or a shipment has come, so that nobody is told an older thing after a newer one.
CREATE TABLE journey (
    topic   TEXT   NOT NULL,              -- order, shipment, user
    subject TEXT   NOT NULL,
    stage   BIGINT NOT NULL,
    delayed BIGINT NOT NULL,              -- it was told that it takes longer
    at      BIGINT NOT NULL,
    PRIMARY KEY (topic, subject)
);
CREATE INDEX journey_at ON journey (at);

-- What was said. One for an event and a channel, whatever happens.
CREATE TABLE message (
    id         TEXT   NOT NULL PRIMARY KEY, -- in order of time
    event_id   TEXT   NOT NULL,
    channel    TEXT   NOT NULL,             -- mail, push, sms
    user_id    TEXT   NOT NULL,
    template   TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    recipient  TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    text       TEXT   NOT NULL,
    order_id   TEXT,
    created_at BIGINT NOT NULL,
    sent_at    BIGINT NOT NULL,             -- 0: it waits for the sender
    UNIQUE (event_id, channel)
);
CREATE INDEX message_of_user ON message (user_id, id);
CREATE INDEX message_waiting ON message (id) WHERE sent_at = 0;
