-- created_seq is the row's place: lists page by it.
CREATE TABLE withdrawals (
    created_seq bigint PRIMARY KEY,
    id          uuid   NOT NULL UNIQUE,
    user_id     bigint NOT NULL,
    amount      bigint NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991),
    created_at  bigint NOT NULL,
    updated_at  bigint NOT NULL,
    status      text   NOT NULL COLLATE "C"
);
CREATE INDEX withdrawals_of_user ON withdrawals (user_id, created_seq);
-- What a start reads into memory.
CREATE INDEX pending_withdrawals ON withdrawals (created_seq) WHERE status = 'pending';

-- Who had a withdrawal completed: the first one makes the row, each one changes it in place (HOT); the version counts them.
CREATE TABLE distributors (
    user_id         bigint  PRIMARY KEY,
    withdrawn_total bigint  NOT NULL CHECK (withdrawn_total BETWEEN 0 AND 9007199254740991),
    version         bigint  NOT NULL CHECK (version >= 1),
    upgraded_at     bigint,
    rank            integer NOT NULL DEFAULT 0 CHECK (rank >= 0)
) WITH (fillfactor = 50);

-- One row per climb, with the names that the levels had then; withdrawal_id is the one that it was checked for.
CREATE TABLE upgrades (
    user_id       bigint  NOT NULL,
    seq           bigint  NOT NULL,
    created_at    bigint  NOT NULL,
    from_rank     integer NOT NULL CHECK (from_rank >= 0),
    to_rank       integer NOT NULL CHECK (to_rank > from_rank),
    withdrawal_id uuid,
    from_name     text    NOT NULL,
    to_name       text    NOT NULL,
    PRIMARY KEY (user_id, seq)
);

-- The levels as they were last set, always as a whole.
CREATE TABLE levels (
    rank      integer PRIMARY KEY CHECK (rank >= 0),
    threshold bigint  NOT NULL CHECK (threshold BETWEEN 0 AND 9007199254740991),
    name      text    NOT NULL
);
