-- Who reconciled the cache last. Each turn has a token that is higher than all before it; one that comes with a lower
-- token was overtaken while it slept, and may not write.
CREATE TABLE reconciliation (
    name     TEXT   NOT NULL PRIMARY KEY,
    token    BIGINT NOT NULL,
    products BIGINT NOT NULL, -- how many counters were compared in the turn
    repaired BIGINT NOT NULL, -- how many of these were wrong
    at       BIGINT NOT NULL
);
