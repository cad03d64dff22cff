-- Providers, pools of them, and desktops: clients whose machine is made and removed at a provider.

CREATE TABLE providers (
    id               {ID},
    name             TEXT NOT NULL UNIQUE,
    wish             TEXT NOT NULL,             -- JSON domain::provider::ProviderWish
    keys             TEXT NOT NULL,             -- sealed: JSON vm::cloudstack::Keys
    failures         BIGINT NOT NULL DEFAULT 0, -- one after the other
    rests_until      BIGINT NOT NULL DEFAULT 0, -- left alone until then
    problem          TEXT NOT NULL DEFAULT '',  -- what it failed with last
    strangers        TEXT NOT NULL DEFAULT '[]', -- JSON: names of machines there that carry our mark and that nobody here knows
    compared_at      BIGINT NOT NULL DEFAULT 0, -- when what is there was last compared with the journal
    created_at       BIGINT NOT NULL,
    version          BIGINT NOT NULL DEFAULT 1
);
CREATE TABLE provider_pools (
    name             TEXT PRIMARY KEY,
    members          TEXT NOT NULL              -- JSON [domain::provider::PoolMember]
);

CREATE TABLE desktops (
    id               {ID},
    name             TEXT NOT NULL,
    client_id        BIGINT REFERENCES clients (id) ON DELETE SET NULL,
    wish             TEXT NOT NULL,             -- JSON domain::desktop::DesktopWish
    state            TEXT NOT NULL CHECK (state IN ('creating', 'ready', 'failed', 'lost', 'deleting', 'deleted')),
    reason           TEXT NOT NULL DEFAULT '',
    power_order      TEXT,                      -- what somebody has ordered and was not done yet
    power            TEXT NOT NULL DEFAULT '',  -- how the provider calls the machine's state
    iso_attached     BOOLEAN NOT NULL DEFAULT TRUE,
    doing            TEXT,                      -- what the provider was asked to do with the machine, ...
    doing_job        TEXT,                      -- ... and its job for that
    created_by       TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    changed_at       BIGINT NOT NULL,
    first_round      BIGINT NOT NULL DEFAULT 1, -- of trials: older ones were for a machine that was to be replaced
    next_at          BIGINT NOT NULL,           -- looked after again then
    taken_until      BIGINT NOT NULL DEFAULT 0, -- a server is at it; next_at is the same unless somebody calls meanwhile
    turn             BIGINT NOT NULL DEFAULT 0  -- grows whenever a server takes it: whoever has an older turn writes nothing more
);
CREATE UNIQUE INDEX desktops_by_name ON desktops (name) WHERE state <> 'deleted';
CREATE INDEX desktops_by_client ON desktops (client_id);
CREATE INDEX desktops_due ON desktops (next_at) WHERE state <> 'deleted';

-- Each provider that was tried for a desktop.
CREATE TABLE desktop_trials (
    id               {ID},
    desktop_id       BIGINT NOT NULL REFERENCES desktops (id) ON DELETE CASCADE,
    provider_id      BIGINT NOT NULL,           -- which may be gone
    provider         TEXT NOT NULL,             -- its name then
    round            BIGINT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('building', 'clearing', 'succeeded', 'failed')),
    class            TEXT,                      -- domain::desktop::FaultClass
    reason           TEXT NOT NULL DEFAULT '',
    retries          BIGINT NOT NULL DEFAULT 0,
    place            TEXT,                      -- JSON vm::Place
    started_at       BIGINT NOT NULL,
    ended_at         BIGINT
);
CREATE INDEX desktop_trials_by_desktop ON desktop_trials (desktop_id, id);

-- The journal: written before anything is asked for.
CREATE TABLE desktop_parts (
    id               {ID},
    desktop_id       BIGINT NOT NULL REFERENCES desktops (id) ON DELETE CASCADE,
    trial_id         BIGINT NOT NULL REFERENCES desktop_trials (id) ON DELETE CASCADE,
    provider_id      BIGINT NOT NULL,
    kind             TEXT NOT NULL CHECK (kind IN ('forwarding', 'firewall', 'egress', 'vm', 'address')),
    state            TEXT NOT NULL CHECK (state IN ('intended', 'making', 'made', 'leaving', 'gone')),
    tag              TEXT NOT NULL,             -- by what it is found there
    remote           TEXT,                      -- its id there
    job              TEXT,                      -- the provider's job
    address          TEXT,                      -- id of the public address
    address_text     TEXT NOT NULL DEFAULT '',
    port             BIGINT,                    -- on the public address
    guest_port       BIGINT,
    looks            BIGINT NOT NULL DEFAULT 0,
    problem          TEXT NOT NULL DEFAULT '',
    intended_at      BIGINT NOT NULL,
    changed_at       BIGINT NOT NULL
);
CREATE INDEX desktop_parts_by_desktop ON desktop_parts (desktop_id, id);
CREATE INDEX desktop_parts_by_tag ON desktop_parts (tag) WHERE kind = 'vm';
CREATE INDEX desktop_parts_there ON desktop_parts (provider_id) WHERE state <> 'gone';
-- One address of a provider is asked for at a time: a new one that is found there can only be that one.
CREATE UNIQUE INDEX desktop_parts_asked_address ON desktop_parts (provider_id) WHERE kind = 'address' AND state IN ('intended', 'making');
-- No two desktops get the same port of an address, however many servers give some.
CREATE UNIQUE INDEX desktop_parts_port ON desktop_parts (provider_id, address, port) WHERE kind = 'forwarding' AND state <> 'gone';
