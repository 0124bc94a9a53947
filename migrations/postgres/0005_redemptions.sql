-- Gift cards. place is the row's place: the record that handed it in, times 16,384, plus its place therein; lists page by it.
-- code is sealed, and gone once the card has come to an end; code_name is its keyed hash.
CREATE TABLE redemptions (
    place        bigint PRIMARY KEY,
    id           uuid   NOT NULL UNIQUE,
    user_id      bigint NOT NULL,
    batch_id     uuid,
    country      text    NOT NULL CHECK (length(country) = 2),
    face_value   bigint CHECK (face_value BETWEEN 0 AND 9007199254740991),
    status       text    NOT NULL,
    account_id   uuid,
    fence        bigint NOT NULL CHECK (fence >= 0),
    amount       bigint CHECK (amount BETWEEN 0 AND 9007199254740991),
    payout       bigint CHECK (payout BETWEEN 0 AND amount),
    failure_code text,
    failure_detail text,
    attempts     bigint NOT NULL CHECK (attempts >= 0),
    code_name    text    NOT NULL,
    code_last4   text    NOT NULL,
    code         bytea,
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL,
    CHECK (code IS NULL OR status IN ('queued', 'locking', 'in_doubt'))
);
CREATE INDEX redemptions_of_user ON redemptions (user_id, place);
CREATE INDEX redemptions_by_status ON redemptions (status, place);
CREATE INDEX redemptions_of_batch ON redemptions (batch_id, place) WHERE batch_id IS NOT NULL;
-- What a start reads into memory, and what a balance is loaded with.
CREATE INDEX open_redemptions ON redemptions (place) WHERE code IS NOT NULL;
CREATE INDEX open_redemptions_of_user ON redemptions (user_id, place) WHERE code IS NOT NULL;

-- Cards that were handed in together: so many of them were taken in.
CREATE TABLE redemption_batches (
    created_seq bigint PRIMARY KEY,
    id          uuid    NOT NULL UNIQUE,
    user_id     bigint NOT NULL,
    total       bigint NOT NULL CHECK (total >= 0)
);

-- When an account was last locked for a card; 0 before that was written down.
ALTER TABLE accounts ADD COLUMN used_at bigint NOT NULL DEFAULT 0;
