-- Messages that are not done; those that are leave no row. A record queues one message at most, so that its position is
-- the message's place in its lane and in lists. Without a next attempt it is a dead letter.
CREATE TABLE messages (
    created_seq     bigint  PRIMARY KEY,
    id              uuid    NOT NULL UNIQUE,
    user_id         bigint  NOT NULL,
    created_at      bigint  NOT NULL,
    next_attempt_at bigint,
    attempts        integer NOT NULL CHECK (attempts >= 0),
    forgiven        integer NOT NULL CHECK (forgiven BETWEEN 0 AND attempts),
    kind            text    NOT NULL COLLATE "C",
    payload         text    NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX messages_failed ON messages (created_seq) WHERE next_attempt_at IS NULL;

-- What went wrong with each attempt of a message that is not done.
CREATE TABLE message_errors (
    message_id uuid    NOT NULL,
    attempt    integer NOT NULL CHECK (attempt >= 1),
    at         bigint  NOT NULL,
    error      text    NOT NULL,
    PRIMARY KEY (message_id, attempt)
);

-- How many messages of a kind were done.
CREATE TABLE message_counts (
    kind      text   PRIMARY KEY COLLATE "C",
    succeeded bigint NOT NULL CHECK (succeeded >= 0)
) WITH (fillfactor = 10);
