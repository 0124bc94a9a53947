-- The same tables with the same meaning stand in ../postgres.

-- Messages that are not done; those that are leave no row. A record queues one message at most, so that its position is
-- the message's place in its lane and in lists. Without a next attempt it is a dead letter.
CREATE TABLE messages (
    created_seq     INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    user_id         INTEGER NOT NULL,
    kind            TEXT    NOT NULL,
    payload         TEXT    NOT NULL,
    attempts        INTEGER NOT NULL CHECK (attempts >= 0),
    forgiven        INTEGER NOT NULL CHECK (forgiven BETWEEN 0 AND attempts),
    next_attempt_at INTEGER,
    created_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_failed ON messages (created_seq) WHERE next_attempt_at IS NULL;

-- What went wrong with each attempt of a message that is not done.
CREATE TABLE message_errors (
    message_id BLOB    NOT NULL CHECK (length(message_id) = 16),
    attempt    INTEGER NOT NULL CHECK (attempt >= 1),
    at         INTEGER NOT NULL,
    error      TEXT    NOT NULL,
    PRIMARY KEY (message_id, attempt)
) STRICT, WITHOUT ROWID;

-- How many messages of a kind were done.
CREATE TABLE message_counts (
    kind      TEXT    PRIMARY KEY,
    succeeded INTEGER NOT NULL CHECK (succeeded >= 0)
) STRICT, WITHOUT ROWID;
