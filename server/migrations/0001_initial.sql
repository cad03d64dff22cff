-- One text for SQLite and PostgreSQL: {ID} is the engine's own word for a growing 64-bit key (see src/db/migrate.rs).
-- {WRITER} adds, on PostgreSQL, the transaction that wrote a row (see src/db/dialect.rs).
-- Times are microseconds since the Unix epoch, UTC. JSON is text, read and written by the server alone.

CREATE TABLE clients (
    id               {ID},
    name             TEXT NOT NULL UNIQUE,
    stage            TEXT NOT NULL CHECK (stage IN ('registered', 'discovered', 'installing', 'installed', 'retired')),
    config           TEXT NOT NULL,             -- domain::client::ClientConfig: what the admin wants
    facts            TEXT,                      -- wire::facts::Facts: what the agent measured
    facts_at         BIGINT,
    announced_key    TEXT,                      -- fingerprint that a machine without a token showed
    adopted_key      TEXT,                      -- fingerprint that an admin accepted; only this key is given an identity
    boot_id          TEXT,
    realm            TEXT,
    agent_version    TEXT,
    last_seen_at     BIGINT,
    alarm            TEXT,                      -- stops every job of the client until an admin has looked
    created_at       BIGINT NOT NULL,
    version          BIGINT NOT NULL DEFAULT 1  -- optimistic lock and ETag
);

CREATE TABLE client_macs (
    mac              TEXT PRIMARY KEY,
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE
);
CREATE INDEX client_macs_by_client ON client_macs (client_id);

CREATE TABLE client_groups (
    id               {ID},
    name             TEXT NOT NULL UNIQUE,
    description      TEXT NOT NULL,
    created_at       BIGINT NOT NULL
);

CREATE TABLE group_members (
    group_id         BIGINT NOT NULL REFERENCES client_groups (id) ON DELETE CASCADE,
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, client_id)
);
CREATE INDEX group_members_by_client ON group_members (client_id);

CREATE TABLE jobs (
    id               {ID},
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    job_type         TEXT NOT NULL,
    params           TEXT NOT NULL,
    realm            TEXT CHECK (realm IN ('installer', 'system')),  -- NULL: any
    priority         BIGINT NOT NULL,           -- lower first
    state            TEXT NOT NULL CHECK (state IN ('held', 'queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired')),
    reason           TEXT NOT NULL DEFAULT '',  -- why it is held, or how it ended
    not_before       BIGINT,
    expires_at       BIGINT,
    max_attempts     BIGINT NOT NULL,
    retry_after_s    BIGINT NOT NULL,
    attempts         BIGINT NOT NULL DEFAULT 0,
    cancel_reason    TEXT,                      -- somebody wants a running job to stop
    released         BOOLEAN NOT NULL DEFAULT FALSE,
    created_at       BIGINT NOT NULL,
    created_by       TEXT NOT NULL,
    finished_at      BIGINT,
    version          BIGINT NOT NULL DEFAULT 1,
    CHECK ((finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled', 'expired')))
);
CREATE UNIQUE INDEX jobs_one_running_per_client ON jobs (client_id) WHERE state = 'running';
CREATE INDEX jobs_waiting ON jobs (client_id, priority, id) WHERE state IN ('held', 'queued', 'running');
CREATE INDEX jobs_by_client ON jobs (client_id, id);

CREATE TABLE job_dependencies (
    job_id           BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    needs_job_id     BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (job_id, needs_job_id)
);
CREATE INDEX job_dependencies_by_needed ON job_dependencies (needs_job_id);

CREATE TABLE job_history (
    id               {ID},
    job_id           BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    from_state       TEXT,
    to_state         TEXT NOT NULL,
    actor            TEXT NOT NULL,
    reason           TEXT NOT NULL,
    at               BIGINT NOT NULL
);
CREATE INDEX job_history_by_job ON job_history (job_id, id);

CREATE TABLE plans (
    job_id           BIGINT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    text             TEXT NOT NULL,
    sha256           TEXT NOT NULL,
    signature        TEXT NOT NULL,
    created_at       BIGINT NOT NULL
);

CREATE TABLE attempts (
    id               {ID},
    job_id           BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    number           BIGINT NOT NULL,           -- 1 for the job's first
    boot_id          TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'refused', 'cancelled', 'lost')),
    reason           TEXT NOT NULL DEFAULT '',
    step             TEXT NOT NULL DEFAULT '',  -- the step that runs, or ran last
    percent          BIGINT NOT NULL DEFAULT 0,
    message          TEXT NOT NULL DEFAULT '',
    started_at       BIGINT NOT NULL,
    leased_until     BIGINT NOT NULL,
    finished_at      BIGINT,
    stored_seq       BIGINT NOT NULL DEFAULT 0,
    UNIQUE (job_id, number)
);
CREATE UNIQUE INDEX attempts_one_running_per_client ON attempts (client_id) WHERE state = 'running';
CREATE INDEX attempts_leased ON attempts (leased_until) WHERE state = 'running';

-- Steps, lines and progress of an attempt, in the agent's numbering: the number is the offset from which a reader resumes.
CREATE TABLE attempt_events (
    attempt_id       BIGINT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    seq              BIGINT NOT NULL,
    at               BIGINT NOT NULL,
    event            TEXT NOT NULL,             -- wire::event::EventKind
    PRIMARY KEY (attempt_id, seq)
);

CREATE TABLE enrol_tokens (
    hash             TEXT PRIMARY KEY,
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    mac              TEXT,                      -- the only machine that may use it; NULL for enrol commands
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    used_at          BIGINT,
    used_by          TEXT                       -- fingerprint of the key that used it
);
CREATE INDEX enrol_tokens_by_client ON enrol_tokens (client_id);

CREATE TABLE certificates (
    serial           TEXT PRIMARY KEY,          -- hexadecimal
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    fingerprint      TEXT NOT NULL,             -- SHA-256 of the public key
    realm            TEXT NOT NULL,
    boot_id          TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    revoked_at       BIGINT,
    revoked_because  TEXT
);
CREATE INDEX certificates_by_client ON certificates (client_id);

CREATE TABLE secrets (
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    reference        TEXT NOT NULL,
    value            TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    PRIMARY KEY (client_id, reference)
);

CREATE TABLE users (
    id               {ID},
    name             TEXT NOT NULL UNIQUE,
    role             TEXT NOT NULL CHECK (role IN ('viewer', 'helpdesk', 'operator', 'admin')),
    created_at       BIGINT NOT NULL
);

-- A link works once: it is exchanged for an API token.
CREATE TABLE login_links (
    hash             TEXT PRIMARY KEY,
    user_id          BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    used_at          BIGINT
);

CREATE TABLE api_tokens (
    id               {ID},
    hash             TEXT NOT NULL UNIQUE,
    name             TEXT NOT NULL,
    role             TEXT NOT NULL CHECK (role IN ('viewer', 'helpdesk', 'operator', 'admin')),
    created_at       BIGINT NOT NULL,
    created_by       TEXT NOT NULL,
    expires_at       BIGINT,
    last_used_at     BIGINT,
    revoked_at       BIGINT
);

CREATE TABLE images (
    id               {ID},
    name             TEXT NOT NULL,             -- installer, agent, debian-12/virtual ...
    recipe           TEXT NOT NULL,             -- hash of everything the image was made from
    parts            TEXT NOT NULL,             -- part name -> wire::enrol::BlobRef
    built_at         BIGINT NOT NULL
);
CREATE INDEX images_by_name ON images (name, id);

CREATE TABLE layouts (
    name             TEXT PRIMARY KEY,
    yaml             TEXT NOT NULL,
    updated_at       BIGINT NOT NULL,
    version          BIGINT NOT NULL DEFAULT 1
);

-- The boot timeline: every contact of a hardware address on its way into the system.
CREATE TABLE boot_events (
    id               {ID},
    mac              TEXT NOT NULL,
    client_id        BIGINT REFERENCES clients (id) ON DELETE CASCADE,
    at               BIGINT NOT NULL,
    kind             TEXT NOT NULL,             -- domain::boot::BootEventKind
    detail           TEXT NOT NULL
);
CREATE INDEX boot_events_by_mac ON boot_events (mac, id);
CREATE INDEX boot_events_by_client ON boot_events (client_id, id);

-- What happened, for pages and the event stream; the id is the offset from which a reader resumes.
CREATE TABLE events (
    id               {ID},
    at               BIGINT NOT NULL,
    kind             TEXT NOT NULL,             -- such as client.discovered, job.running, image.built
    client_id        BIGINT,
    job_id           BIGINT,
    actor            TEXT NOT NULL,
    detail           TEXT NOT NULL{WRITER}
);
CREATE INDEX events_by_client ON events (client_id, id);
