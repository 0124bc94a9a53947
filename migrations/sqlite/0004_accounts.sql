-- The same tables with the same meaning stand in ../postgres.

-- created_seq is the row's place: lists page by it. A plan never changes.
CREATE TABLE plans (
    created_seq   INTEGER PRIMARY KEY,
    id            BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    name          TEXT    NOT NULL,
    target_amount INTEGER NOT NULL CHECK (target_amount BETWEEN 1 AND 9007199254740991),
    payout_bps    INTEGER NOT NULL CHECK (payout_bps BETWEEN 0 AND 10000),
    created_at    INTEGER NOT NULL
) STRICT;

-- Redemption accounts as they stand; number is the place in lists, the version counts their transitions. The four columns of a lock are set together.
CREATE TABLE accounts (
    number               INTEGER PRIMARY KEY,
    id                   BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    label                TEXT    NOT NULL,
    country              TEXT    NOT NULL CHECK (length(country) = 2),
    plan_id              BLOB    NOT NULL CHECK (length(plan_id) = 16),
    status               TEXT    NOT NULL,
    login_status         TEXT    NOT NULL,
    redeemed_total       INTEGER NOT NULL CHECK (redeemed_total BETWEEN 0 AND 9007199254740991),
    version              INTEGER NOT NULL CHECK (version >= 1),
    fence                INTEGER NOT NULL CHECK (fence >= 0),
    lock_redemption_id   BLOB    CHECK (length(lock_redemption_id) = 16),
    lock_previous_status TEXT,
    lock_since           INTEGER,
    lock_deadline        INTEGER,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    CHECK ((status = 'locking') = (lock_redemption_id IS NOT NULL)),
    CHECK ((lock_redemption_id IS NULL) = (lock_previous_status IS NULL)),
    CHECK ((lock_redemption_id IS NULL) = (lock_since IS NULL)),
    CHECK ((lock_redemption_id IS NULL) = (lock_deadline IS NULL))
) STRICT;

-- One row per transition, numbered by the account's version from 1; amount is what it redeemed. With a rowid, as entries
-- have one.
CREATE TABLE transitions (
    account_id     BLOB    NOT NULL CHECK (length(account_id) = 16),
    version        INTEGER NOT NULL CHECK (version >= 1),
    seq            INTEGER NOT NULL,
    from_status    TEXT    NOT NULL,
    to_status      TEXT    NOT NULL,
    login_status   TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    redemption_id  BLOB    CHECK (length(redemption_id) = 16),
    amount         INTEGER NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991),
    redeemed_total INTEGER NOT NULL CHECK (redeemed_total BETWEEN 0 AND 9007199254740991),
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (account_id, version)
) STRICT;
