-- Orders and deliveries of Remesa, kept in step by keep_in_step.py, which may run this file again at any time.
-- Amounts are whole minor units. Times are UTC instants.

CREATE TABLE IF NOT EXISTS orders (
    campaign        text        NOT NULL,
    number          bigint      NOT NULL,  -- the order's number in its campaign
    key             text        NOT NULL,  -- the row's key
    reference       text        NOT NULL,
    concept         text        NOT NULL,
    state           text        NOT NULL,  -- an available order whose expires_at has passed cannot be paid any more
    amount          bigint      NOT NULL,
    currency        text        NOT NULL,
    paid            bigint      NOT NULL,
    refunded        bigint      NOT NULL,
    contact         text,                  -- a telephone number: personal data
    short_code      text,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (campaign, number)
);

-- The message of an order in a run. Runs are delivery@1, delivery@2, ...
CREATE TABLE IF NOT EXISTS deliveries (
    campaign        text        NOT NULL,
    run             text        NOT NULL,
    number          bigint      NOT NULL,  -- the order
    contact         smallint    NOT NULL,  -- which of the recipient's contacts, from 0
    attempt         integer     NOT NULL,
    rank            smallint    NOT NULL,  -- a state never gives way to one of lower rank in the same attempt; 5, delivered, to none
    state           text        NOT NULL,
    reason          text,
    provider_id     text,
    at              timestamptz NOT NULL,
    event           text        NOT NULL,  -- the event that this row comes from
    PRIMARY KEY (campaign, run, number, contact)
);

-- The stretch of orders that a run is for.
CREATE TABLE IF NOT EXISTS runs (
    campaign        text        NOT NULL,
    run             text        NOT NULL,
    state           text        NOT NULL,
    first           bigint      NOT NULL,
    last            bigint      NOT NULL,
    PRIMARY KEY (campaign, run)
);

-- Every recipient of every run. One without a row in deliveries has had no outcome: it is queued, or, since its run was
-- cancelled or failed, skipped for that reason.
CREATE OR REPLACE VIEW recipients AS
SELECT r.campaign, r.run, o.number, o.key, o.reference, o.state AS order_state,
       coalesce(d.state, CASE WHEN r.state IN ('cancelled', 'failed') THEN 'skipped' ELSE 'queued' END) AS state,
       coalesce(d.reason, CASE WHEN d.state IS NULL AND r.state IN ('cancelled', 'failed') THEN r.state END) AS reason,
       d.contact, d.attempt, d.provider_id, d.at
FROM runs r
JOIN orders o ON o.campaign = r.campaign AND o.number BETWEEN r.first AND r.last
LEFT JOIN deliveries d ON d.campaign = r.campaign AND d.run = r.run AND d.number = o.number;
