-- The store behind the journal, in Postgres. The same tables with the same meaning stand in ../sqlite.
--
-- Instants are microseconds since the Unix epoch (exact round trip), money is in minor units. 9007199254740991
-- is 2^53-1, the limit of every total. The checks are the last fence: the engine has decided all of it before.
-- No foreign keys: rows arrive in journal order, and every index costs write-behind speed. Names compare by
-- bytes (COLLATE "C"), as the engine does.

-- Who writes, and how far: the compare-and-set of every batch. Always one page, updated in place (HOT).
-- fingerprint_key hashes the idempotency keys below: the id of the first journal, whichever writes now.
CREATE TABLE engine (
    id          integer PRIMARY KEY CHECK (id = 1),
    journal_id  uuid    NOT NULL,
    epoch       bigint  NOT NULL CHECK (epoch >= 1),
    watermark   bigint  NOT NULL CHECK (watermark >= 0),
    holder      text    NOT NULL,
    released    boolean NOT NULL,
    acquired_at bigint  NOT NULL,
    fingerprint_key uuid NOT NULL
) WITH (fillfactor = 10);

-- name_key is the name in lower case as the engine folds it, so that both stores search alike. Sales update
-- stock, version and updated_at, none of them indexed, within the page (HOT).
CREATE TABLE products (
    id          bigint PRIMARY KEY CHECK (id > 0),
    price       bigint NOT NULL CHECK (price BETWEEN 0 AND 9007199254740991),
    stock       bigint NOT NULL CHECK (stock BETWEEN 0 AND 9007199254740991),
    version     bigint NOT NULL CHECK (version >= 1),
    revision    bigint NOT NULL CHECK (revision >= 1),
    created_seq bigint NOT NULL UNIQUE,
    created_at  bigint NOT NULL,
    updated_at  bigint NOT NULL,
    deleted_at  bigint,
    sku         text   COLLATE "C",
    name        text   NOT NULL,
    name_key    text   NOT NULL COLLATE "C",
    description text
) WITH (fillfactor = 50);

-- One row per change of a stock; the version is the product's.
CREATE TABLE movements (
    product_id  bigint NOT NULL,
    version     bigint NOT NULL CHECK (version >= 1),
    seq         bigint NOT NULL,
    delta       bigint NOT NULL,
    stock_after bigint NOT NULL CHECK (stock_after BETWEEN 0 AND 9007199254740991),
    created_at  bigint NOT NULL,
    order_id    uuid,
    kind        text   NOT NULL COLLATE "C",
    reason      text,
    PRIMARY KEY (product_id, version)
);

-- email_key is the email in lower case, the form in which it is unique (see names).
CREATE TABLE users (
    id            bigint PRIMARY KEY CHECK (id > 0),
    created_seq   bigint NOT NULL UNIQUE,
    created_at    bigint NOT NULL,
    name          text   NOT NULL,
    name_key      text   NOT NULL COLLATE "C",
    email         text   NOT NULL,
    email_key     text   NOT NULL COLLATE "C",
    password_hash text,
    role          text   NOT NULL COLLATE "C"
);

-- Apart from users and narrow: it changes with every sale, within the page (HOT).
CREATE TABLE balances (
    user_id bigint PRIMARY KEY,
    amount  bigint NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991),
    version bigint NOT NULL CHECK (version >= 0)
) WITH (fillfactor = 50);

CREATE TABLE entries (
    user_id       bigint NOT NULL,
    version       bigint NOT NULL CHECK (version >= 1),
    seq           bigint NOT NULL,
    delta         bigint NOT NULL,
    balance_after bigint NOT NULL CHECK (balance_after BETWEEN 0 AND 9007199254740991),
    created_at    bigint NOT NULL,
    order_id      uuid,
    kind          text   NOT NULL COLLATE "C",
    reference     text,
    description   text,
    PRIMARY KEY (user_id, version)
);

-- created_seq is the row's place: lists page by it. Steps update status and updated_at in place (HOT).
CREATE TABLE orders (
    created_seq        bigint PRIMARY KEY,
    id                 uuid   NOT NULL UNIQUE,
    user_id            bigint NOT NULL,
    total_amount       bigint NOT NULL CHECK (total_amount BETWEEN 0 AND 9007199254740991),
    created_at         bigint NOT NULL,
    updated_at         bigint NOT NULL,
    failure_product_id bigint,
    status             text   NOT NULL COLLATE "C",
    failure_code       text,
    failure_detail     text
) WITH (fillfactor = 85);
CREATE INDEX orders_of_user ON orders (user_id, created_seq);

-- product_name and product_price are the product's own when the order was decided.
CREATE TABLE order_lines (
    order_id      uuid    NOT NULL,
    line          integer NOT NULL,
    quantity      integer NOT NULL CHECK (quantity >= 1),
    product_id    bigint  NOT NULL,
    unit_price    bigint  NOT NULL CHECK (unit_price BETWEEN 0 AND 9007199254740991),
    product_price bigint  NOT NULL CHECK (product_price BETWEEN 0 AND 9007199254740991),
    product_name  text    NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE TABLE returns (
    id           uuid   PRIMARY KEY,
    seq          bigint NOT NULL,
    user_id      bigint NOT NULL,
    total_amount bigint NOT NULL CHECK (total_amount BETWEEN 0 AND 9007199254740991),
    created_at   bigint NOT NULL,
    order_id     uuid,
    reason       text
);
CREATE INDEX returns_of_order ON returns (order_id) WHERE order_id IS NOT NULL;

CREATE TABLE return_lines (
    return_id  uuid    NOT NULL,
    line       integer NOT NULL,
    quantity   integer NOT NULL CHECK (quantity >= 1),
    product_id bigint  NOT NULL,
    unit_price bigint  NOT NULL CHECK (unit_price BETWEEN 0 AND 9007199254740991),
    PRIMARY KEY (return_id, line)
);

CREATE TABLE sessions (
    family_id  uuid   PRIMARY KEY,
    user_id    bigint NOT NULL,
    opened_at  bigint NOT NULL,
    expires_at bigint NOT NULL,
    generation bigint NOT NULL CHECK (generation >= 0),
    rotated_at bigint NOT NULL,
    revoked_at bigint,
    role       text   NOT NULL COLLATE "C"
) WITH (fillfactor = 85);
-- Few sessions are ever revoked, so this stays small; it fills the set of revoked families at boot.
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- The unique names: the holder is a user (email) or a product (sku).
CREATE TABLE names (
    namespace text   NOT NULL COLLATE "C",
    name      text   NOT NULL COLLATE "C",
    holder    bigint NOT NULL,
    PRIMARY KEY (namespace, name)
);

-- Answered idempotency keys. Both hashes are 16 bytes, which uuid holds without a length header.
CREATE TABLE keys (
    user_id     bigint NOT NULL,
    seq         bigint NOT NULL,
    created_at  bigint NOT NULL,
    fingerprint uuid   NOT NULL,
    request     uuid   NOT NULL,
    outcome     text   NOT NULL,
    PRIMARY KEY (user_id, fingerprint)
);
-- Rows arrive in the order of time, so a block range index finds the expired ones at next to no cost per row.
CREATE INDEX keys_by_age ON keys USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);
