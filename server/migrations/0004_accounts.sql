-- Accounts: where somebody's password is checked, for which clients a role counts, the second factor, steps of a login.

ALTER TABLE users ADD COLUMN everywhere BOOLEAN NOT NULL DEFAULT TRUE;   -- false: `role` counts for no client, only account_groups do
ALTER TABLE users ADD COLUMN full_name TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN source TEXT NOT NULL DEFAULT 'local' CHECK (source IN ('local', 'ldap', 'oidc'));
ALTER TABLE users ADD COLUMN source_id TEXT;              -- DN in the directory, issuer and subject of OIDC
ALTER TABLE users ADD COLUMN checked_at BIGINT;           -- when the source was last asked for the roles
ALTER TABLE users ADD COLUMN disabled_at BIGINT;
ALTER TABLE users ADD COLUMN last_login_at BIGINT;
ALTER TABLE users ADD COLUMN language TEXT;
ALTER TABLE users ADD COLUMN totp_secret TEXT;            -- base32 (RFC 4648, 6); NULL without second factor
ALTER TABLE users ADD COLUMN totp_offered TEXT;           -- a secret that was shown and not confirmed yet
ALTER TABLE users ADD COLUMN totp_step BIGINT;            -- the newest time step of which a code was used
CREATE UNIQUE INDEX users_by_source ON users (source, source_id);

CREATE TABLE account_groups (
    user_id          BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id         BIGINT NOT NULL REFERENCES client_groups (id) ON DELETE CASCADE,
    role             TEXT NOT NULL CHECK (role IN ('viewer', 'helpdesk', 'operator', 'admin')),
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX account_groups_by_group ON account_groups (group_id);

ALTER TABLE api_tokens ADD COLUMN everywhere BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE api_tokens ADD COLUMN read_only BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE api_tokens ADD COLUMN user_id BIGINT REFERENCES users (id) ON DELETE CASCADE;  -- whose login it is; its roles are theirs
CREATE INDEX api_tokens_by_user ON api_tokens (user_id);

CREATE TABLE token_groups (
    token_id         BIGINT NOT NULL REFERENCES api_tokens (id) ON DELETE CASCADE,
    group_id         BIGINT NOT NULL REFERENCES client_groups (id) ON DELETE CASCADE,
    role             TEXT NOT NULL CHECK (role IN ('viewer', 'helpdesk', 'operator', 'admin')),
    PRIMARY KEY (token_id, group_id)
);
CREATE INDEX token_groups_by_group ON token_groups (group_id);

CREATE TABLE recovery_codes (
    user_id          BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash             TEXT NOT NULL,             -- gone when the code was used
    PRIMARY KEY (user_id, hash)
);

-- A login that waits for its next step: the second factor, or the answer of an OIDC provider.
CREATE TABLE login_steps (
    hash             TEXT PRIMARY KEY,          -- of the secret in the browser
    user_id          BIGINT REFERENCES users (id) ON DELETE CASCADE,
    detail           TEXT NOT NULL,
    tries            BIGINT NOT NULL DEFAULT 0,
    expires_at       BIGINT NOT NULL
);
CREATE INDEX login_steps_by_age ON login_steps (expires_at);
