-- What it costs to send something to a country.
CREATE TABLE rate (
    country    TEXT   NOT NULL PRIMARY KEY, -- ISO 3166, two letters
    base_cents BIGINT NOT NULL,             -- for the parcel
    item_cents BIGINT NOT NULL,             -- for each item in it
    currency   TEXT   NOT NULL,
    days       BIGINT NOT NULL              -- until it is there
);
INSERT INTO rate (country, base_cents, item_cents, currency, days) VALUES
    ('AT',  590,  50, 'EUR', 3),
    ('BE',  590,  50, 'EUR', 3),
    ('CH', 1290, 100, 'EUR', 4),
    ('DE',  390,  30, 'EUR', 2),
    ('ES',  790,  70, 'EUR', 5),
    ('FR',  590,  50, 'EUR', 3),
    ('GB', 1190, 100, 'EUR', 5),
    ('IT',  690,  60, 'EUR', 4),
    ('NL',  590,  50, 'EUR', 3),
    ('PL',  590,  50, 'EUR', 3),
    ('US', 1990, 250, 'EUR', 9);
