-- Requests with an Idempotency-Key that were carried out. The row is written in the transaction of what it stands for, so it is there
-- exactly when that is; the answer comes a moment later, and is missing when the server ended in between or the answer held a secret.
CREATE TABLE answers (
    token_id         BIGINT NOT NULL,           -- whose key it is
    key              TEXT NOT NULL,
    request          TEXT NOT NULL,             -- hash of method, path, query and body
    status           BIGINT,
    etag             TEXT,
    body             TEXT,
    created_at       BIGINT NOT NULL,
    PRIMARY KEY (token_id, key)
);
CREATE INDEX answers_by_age ON answers (created_at);
