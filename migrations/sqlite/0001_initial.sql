-- The store behind the journal, in SQLite. The same tables with the same meaning stand in ../postgres.
--
-- Instants are microseconds since the Unix epoch (exact round trip), ids of orders, returns, sessions and
-- journals are UUIDs in 16 bytes, money is in minor units. 9007199254740991 is 2^53-1, the limit of every
-- total. The checks are the last fence: the engine has decided all of it before. No foreign keys: rows arrive
-- in journal order, and every index costs write-behind speed.

-- Who writes, and how far: the compare-and-set of every batch.
CREATE TABLE engine (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    journal_id  BLOB    NOT NULL CHECK (length(journal_id) = 16),
    epoch       INTEGER NOT NULL CHECK (epoch >= 1),
    watermark   INTEGER NOT NULL CHECK (watermark >= 0),
    holder      TEXT    NOT NULL,
    released    INTEGER NOT NULL CHECK (released IN (0, 1)),
    acquired_at INTEGER NOT NULL,
    fingerprint_key BLOB NOT NULL CHECK (length(fingerprint_key) = 16)
) STRICT;

-- name_key is the name in lower case as the engine folds it, so that both stores search alike.
CREATE TABLE products (
    id          INTEGER PRIMARY KEY CHECK (id > 0),
    sku         TEXT,
    name        TEXT    NOT NULL,
    name_key    TEXT    NOT NULL,
    description TEXT,
    price       INTEGER NOT NULL CHECK (price BETWEEN 0 AND 9007199254740991),
    stock       INTEGER NOT NULL CHECK (stock BETWEEN 0 AND 9007199254740991),
    version     INTEGER NOT NULL CHECK (version >= 1),
    revision    INTEGER NOT NULL CHECK (revision >= 1),
    created_seq INTEGER NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    deleted_at  INTEGER
) STRICT;

-- One row per change of a stock; the version is the product's. With a rowid on purpose, here and in entries:
-- rows are appended, and only the narrow index is spread out. Clustered by their keys, a batch would rewrite a
-- wide page for nearly every row.
CREATE TABLE movements (
    product_id  INTEGER NOT NULL,
    version     INTEGER NOT NULL CHECK (version >= 1),
    seq         INTEGER NOT NULL,
    delta       INTEGER NOT NULL,
    stock_after INTEGER NOT NULL CHECK (stock_after BETWEEN 0 AND 9007199254740991),
    kind        TEXT    NOT NULL,
    order_id    BLOB    CHECK (length(order_id) = 16),
    reason      TEXT,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (product_id, version)
) STRICT;

-- email_key is the email in lower case, the form in which it is unique (see names).
CREATE TABLE users (
    id            INTEGER PRIMARY KEY CHECK (id > 0),
    name          TEXT    NOT NULL,
    name_key      TEXT    NOT NULL,
    email         TEXT    NOT NULL,
    email_key     TEXT    NOT NULL,
    password_hash TEXT,
    role          TEXT    NOT NULL,
    created_seq   INTEGER NOT NULL UNIQUE,
    created_at    INTEGER NOT NULL
) STRICT;

-- Apart from users: it changes with every sale, a user hardly ever does.
CREATE TABLE balances (
    user_id INTEGER PRIMARY KEY,
    amount  INTEGER NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991),
    version INTEGER NOT NULL CHECK (version >= 0)
) STRICT;

CREATE TABLE entries (
    user_id       INTEGER NOT NULL,
    version       INTEGER NOT NULL CHECK (version >= 1),
    seq           INTEGER NOT NULL,
    delta         INTEGER NOT NULL,
    balance_after INTEGER NOT NULL CHECK (balance_after BETWEEN 0 AND 9007199254740991),
    kind          TEXT    NOT NULL,
    order_id      BLOB    CHECK (length(order_id) = 16),
    reference     TEXT,
    description   TEXT,
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (user_id, version)
) STRICT;

-- created_seq is the row's place: appended in journal order, lists page by it, and the index on user_id carries it.
CREATE TABLE orders (
    created_seq        INTEGER PRIMARY KEY,
    id                 BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    user_id            INTEGER NOT NULL,
    status             TEXT    NOT NULL,
    total_amount       INTEGER NOT NULL CHECK (total_amount BETWEEN 0 AND 9007199254740991),
    failure_code       TEXT,
    failure_detail     TEXT,
    failure_product_id INTEGER,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_of_user ON orders (user_id);

-- product_name and product_price are the product's own when the order was decided.
CREATE TABLE order_lines (
    order_id      BLOB    NOT NULL CHECK (length(order_id) = 16),
    line          INTEGER NOT NULL,
    product_id    INTEGER NOT NULL,
    quantity      INTEGER NOT NULL CHECK (quantity >= 1),
    unit_price    INTEGER NOT NULL CHECK (unit_price BETWEEN 0 AND 9007199254740991),
    product_name  TEXT    NOT NULL,
    product_price INTEGER NOT NULL CHECK (product_price BETWEEN 0 AND 9007199254740991),
    PRIMARY KEY (order_id, line)
) STRICT, WITHOUT ROWID;

CREATE TABLE returns (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    seq          INTEGER NOT NULL,
    user_id      INTEGER NOT NULL,
    order_id     BLOB    CHECK (length(order_id) = 16),
    total_amount INTEGER NOT NULL CHECK (total_amount BETWEEN 0 AND 9007199254740991),
    reason       TEXT,
    created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX returns_of_order ON returns (order_id) WHERE order_id IS NOT NULL;

CREATE TABLE return_lines (
    return_id  BLOB    NOT NULL CHECK (length(return_id) = 16),
    line       INTEGER NOT NULL,
    product_id INTEGER NOT NULL,
    quantity   INTEGER NOT NULL CHECK (quantity >= 1),
    unit_price INTEGER NOT NULL CHECK (unit_price BETWEEN 0 AND 9007199254740991),
    PRIMARY KEY (return_id, line)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    family_id  BLOB    NOT NULL PRIMARY KEY CHECK (length(family_id) = 16),
    user_id    INTEGER NOT NULL,
    role       TEXT    NOT NULL,
    opened_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    generation INTEGER NOT NULL CHECK (generation >= 0),
    rotated_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
-- Few sessions are ever revoked, so this stays small; it fills the set of revoked families at boot.
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- The unique names: the holder is a user (email) or a product (sku).
CREATE TABLE names (
    namespace TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    holder    INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

-- Answered idempotency keys. With a rowid on purpose: rows are appended, and the oldest are pruned from the front.
CREATE TABLE keys (
    user_id     INTEGER NOT NULL,
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 16),
    request     BLOB    NOT NULL CHECK (length(request) = 16),
    seq         INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (user_id, fingerprint)
) STRICT;
