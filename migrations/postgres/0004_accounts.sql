-- created_seq is the row's place: lists page by it. A plan never changes.
CREATE TABLE plans (
    created_seq   bigint  PRIMARY KEY,
    id            uuid    NOT NULL UNIQUE,
    target_amount bigint  NOT NULL CHECK (target_amount BETWEEN 1 AND 9007199254740991),
    created_at    bigint  NOT NULL,
    payout_bps    bigint  NOT NULL CHECK (payout_bps BETWEEN 0 AND 10000),
    name          text    NOT NULL
);

-- Redemption accounts as they stand; number is the place in lists, the version counts their transitions. The four columns of a lock are set together.
CREATE TABLE accounts (
    number               bigint PRIMARY KEY,
    id                   uuid   NOT NULL UNIQUE,
    plan_id              uuid   NOT NULL,
    redeemed_total       bigint NOT NULL CHECK (redeemed_total BETWEEN 0 AND 9007199254740991),
    version              bigint NOT NULL CHECK (version >= 1),
    fence                bigint NOT NULL CHECK (fence >= 0),
    lock_since           bigint,
    lock_deadline        bigint,
    lock_redemption_id   uuid,
    created_at           bigint NOT NULL,
    updated_at           bigint NOT NULL,
    label                text   NOT NULL,
    country              text   NOT NULL COLLATE "C" CHECK (length(country) = 2),
    status               text   NOT NULL COLLATE "C",
    login_status         text   NOT NULL COLLATE "C",
    lock_previous_status text   COLLATE "C",
    CHECK ((status = 'locking') = (lock_redemption_id IS NOT NULL)),
    CHECK ((lock_redemption_id IS NULL) = (lock_previous_status IS NULL)),
    CHECK ((lock_redemption_id IS NULL) = (lock_since IS NULL)),
    CHECK ((lock_redemption_id IS NULL) = (lock_deadline IS NULL))
);

-- One row per transition, numbered by the account's version from 1; amount is what it redeemed.
CREATE TABLE transitions (
    account_id     uuid   NOT NULL,
    version        bigint NOT NULL CHECK (version >= 1),
    seq            bigint NOT NULL,
    amount         bigint NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991),
    redeemed_total bigint NOT NULL CHECK (redeemed_total BETWEEN 0 AND 9007199254740991),
    created_at     bigint NOT NULL,
    redemption_id  uuid,
    from_status    text   NOT NULL COLLATE "C",
    to_status      text   NOT NULL COLLATE "C",
    login_status   text   NOT NULL COLLATE "C",
    reason         text   NOT NULL COLLATE "C",
    PRIMARY KEY (account_id, version)
);
