-- People who log in to the pages.

ALTER TABLE users ADD COLUMN password_hash TEXT;   -- argon2id, PHC string; absent until one was set

CREATE TABLE sessions (
    hash             TEXT PRIMARY KEY,          -- of the secret in the browser's cookie
    user_id          BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at       BIGINT NOT NULL,
    last_used_at     BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    address          TEXT NOT NULL,
    browser          TEXT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
