-- The same tables with the same meaning stand in ../postgres.

-- created_seq is the row's place: appended in journal order, lists page by it, and the index on user_id carries it.
CREATE TABLE withdrawals (
    created_seq INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    user_id     INTEGER NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991),
    status      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX withdrawals_of_user ON withdrawals (user_id);
-- What a start reads into memory.
CREATE INDEX pending_withdrawals ON withdrawals (created_seq) WHERE status = 'pending';

-- Who had a withdrawal completed: the first one makes the row, each one changes it; the version counts them.
CREATE TABLE distributors (
    user_id         INTEGER PRIMARY KEY,
    rank            INTEGER NOT NULL DEFAULT 0 CHECK (rank >= 0),
    withdrawn_total INTEGER NOT NULL CHECK (withdrawn_total BETWEEN 0 AND 9007199254740991),
    version         INTEGER NOT NULL CHECK (version >= 1),
    upgraded_at     INTEGER
) STRICT;

-- One row per climb, with the names that the levels had then; withdrawal_id is the one that it was checked for. With a
-- rowid, as entries have one.
CREATE TABLE upgrades (
    user_id       INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    from_rank     INTEGER NOT NULL CHECK (from_rank >= 0),
    from_name     TEXT    NOT NULL,
    to_rank       INTEGER NOT NULL CHECK (to_rank > from_rank),
    to_name       TEXT    NOT NULL,
    withdrawal_id BLOB    CHECK (length(withdrawal_id) = 16),
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (user_id, seq)
) STRICT;

-- The levels as they were last set, always as a whole.
CREATE TABLE levels (
    rank      INTEGER PRIMARY KEY CHECK (rank >= 0),
    name      TEXT    NOT NULL,
    threshold INTEGER NOT NULL CHECK (threshold BETWEEN 0 AND 9007199254740991)
) STRICT;
