-- Who changed what; settings; what waits for a second person; and who is told of what happens.

-- One change that a person has made. A row is written in the transaction of its change, and gets its place in the chain when that
-- commits (see src/db/audit.rs); a committed row without a place does not exist.
CREATE TABLE audit (
    id               {ID},
    seq              BIGINT UNIQUE,             -- place in the chain, from 1 on without a gap
    at               BIGINT NOT NULL,
    actor            TEXT NOT NULL,
    via              TEXT NOT NULL,             -- session, token 7, nobody ...
    address          TEXT NOT NULL,
    request_id       TEXT NOT NULL,
    action           TEXT NOT NULL,             -- such as client.change
    object           TEXT NOT NULL,             -- such as client lab-01
    old_value        TEXT,                      -- JSON
    new_value        TEXT,                      -- JSON
    hash             TEXT                       -- SHA-256 over all of it and the hash before (src/domain/audit.rs)
);
CREATE INDEX audit_unsealed ON audit (id) WHERE seq IS NULL;
CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_action ON audit (action, seq);
CREATE INDEX audit_by_object ON audit (object, seq);

-- The end of the chain: one row, whose lock lets one transaction at a time append.
CREATE TABLE audit_head (
    id               BIGINT PRIMARY KEY CHECK (id = 1),
    seq              BIGINT NOT NULL,
    hash             TEXT NOT NULL,
    signature        TEXT NOT NULL              -- by the server's key, over seq and hash
);
INSERT INTO audit_head (id, seq, hash, signature) VALUES (1, 0, '', '');

-- What was set; what is not here has its default (src/domain/settings.rs).
CREATE TABLE settings (
    name             TEXT PRIMARY KEY,
    value            TEXT NOT NULL,             -- JSON
    changed_at       BIGINT NOT NULL,
    changed_by       TEXT NOT NULL
);

-- What somebody has asked for and a second person has to approve.
CREATE TABLE approvals (
    id               {ID},
    wish             TEXT NOT NULL,             -- app::approvals::Wish, JSON
    summary          TEXT NOT NULL,
    risk             TEXT NOT NULL,             -- domain::approval::Risk
    role             TEXT NOT NULL,             -- the least role that it needs
    asked_by         TEXT NOT NULL,             -- the name in history and events
    person           TEXT NOT NULL,             -- whose account or token it was: not to be the one who approves
    pass             TEXT NOT NULL,             -- session, or token 7
    asked_at         BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'refused', 'withdrawn', 'expired')),
    decided_by       TEXT,
    decided_at       BIGINT,
    reason           TEXT NOT NULL DEFAULT ''
);
CREATE INDEX approvals_pending ON approvals (id) WHERE state = 'pending';

-- Who is told of what happens, and how.
CREATE TABLE channels (
    id               {ID},
    name             TEXT NOT NULL UNIQUE,
    wanted           TEXT NOT NULL,             -- domain::notice::ChannelWish, JSON
    secret           TEXT NOT NULL,             -- signs what a webhook gets
    after_event      BIGINT NOT NULL,           -- events up to this one were looked at
    created_at       BIGINT NOT NULL,
    version          BIGINT NOT NULL DEFAULT 1
);

-- Notices on their way: they survive a restart, and are tried again.
CREATE TABLE outbox (
    id               {ID},
    channel_id       BIGINT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    notice           TEXT NOT NULL,             -- domain::notice::Notice, JSON
    state            TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'given-up')),
    attempts         BIGINT NOT NULL DEFAULT 0,
    next_at          BIGINT NOT NULL,
    error            TEXT NOT NULL DEFAULT '',
    created_at       BIGINT NOT NULL,
    finished_at      BIGINT
);
CREATE INDEX outbox_due ON outbox (next_at) WHERE state = 'waiting';
CREATE INDEX outbox_by_channel ON outbox (channel_id, id);

-- How clients were when somebody last looked, to tell of changes.
CREATE TABLE client_health (
    client_id        BIGINT PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    health           TEXT NOT NULL,
    since_at         BIGINT NOT NULL
);
