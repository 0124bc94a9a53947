-- The same tables with the same meaning stand in ../postgres.

-- Gift cards. place is the row's place: the record that handed it in, times 16,384, plus its place therein; lists page by it.
-- code is sealed, and gone once the card has come to an end; code_name is its keyed hash.
CREATE TABLE redemptions (
    place        INTEGER PRIMARY KEY,
    id           BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    user_id      INTEGER NOT NULL,
    batch_id     BLOB    CHECK (length(batch_id) = 16),
    country      TEXT    NOT NULL CHECK (length(country) = 2),
    face_value   INTEGER CHECK (face_value BETWEEN 0 AND 9007199254740991),
    status       TEXT    NOT NULL,
    account_id   BLOB    CHECK (length(account_id) = 16),
    fence        INTEGER NOT NULL CHECK (fence >= 0),
    amount       INTEGER CHECK (amount BETWEEN 0 AND 9007199254740991),
    payout       INTEGER CHECK (payout BETWEEN 0 AND amount),
    failure_code TEXT,
    failure_detail TEXT,
    attempts     INTEGER NOT NULL CHECK (attempts >= 0),
    code_name    TEXT    NOT NULL,
    code_last4   TEXT    NOT NULL,
    code         BLOB,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    CHECK (code IS NULL OR status IN ('queued', 'locking', 'in_doubt'))
) STRICT;
CREATE INDEX redemptions_of_user ON redemptions (user_id, place);
CREATE INDEX redemptions_by_status ON redemptions (status, place);
CREATE INDEX redemptions_of_batch ON redemptions (batch_id, place) WHERE batch_id IS NOT NULL;
-- What a start reads into memory, and what a balance is loaded with.
CREATE INDEX open_redemptions ON redemptions (place) WHERE code IS NOT NULL;
CREATE INDEX open_redemptions_of_user ON redemptions (user_id, place) WHERE code IS NOT NULL;

-- Cards that were handed in together: so many of them were taken in.
CREATE TABLE redemption_batches (
    created_seq INTEGER PRIMARY KEY,
    id          BLOB     NOT NULL UNIQUE CHECK (length(id) = 16),
    user_id     INTEGER NOT NULL,
    total       INTEGER NOT NULL CHECK (total >= 0)
) STRICT;

-- When an account was last locked for a card; 0 before that was written down.
ALTER TABLE accounts ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
