-- What people search clients by: columns that the code takes out of facts and configuration whenever it writes them (db/traits.rs), so
-- that neither is read to find a client. `traits` is the version of that code; older rows are filled again when the server starts.

ALTER TABLE clients ADD COLUMN traits BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN distribution TEXT NOT NULL DEFAULT '';   -- the wanted one
ALTER TABLE clients ADD COLUMN os TEXT NOT NULL DEFAULT '';             -- the running one, as debian-12
ALTER TABLE clients ADD COLUMN model TEXT NOT NULL DEFAULT '';          -- maker and model
ALTER TABLE clients ADD COLUMN model_key TEXT NOT NULL DEFAULT '';      -- the same in small letters
ALTER TABLE clients ADD COLUMN serial TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN memory_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN disk_bytes BIGINT NOT NULL DEFAULT 0;    -- the largest disk
ALTER TABLE clients ADD COLUMN threads BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN alarmed BOOLEAN NOT NULL DEFAULT FALSE;  -- there is an alarm
ALTER TABLE clients ADD COLUMN failed_job BIGINT;                       -- the newest job that failed and none succeeded after

UPDATE clients SET alarmed = TRUE WHERE alarm IS NOT NULL;
UPDATE clients SET failed_job = (SELECT max(j.id) FROM jobs j WHERE j.client_id = clients.id AND j.state = 'failed'
    AND NOT EXISTS (SELECT 1 FROM jobs s WHERE s.client_id = clients.id AND s.state = 'succeeded' AND s.id > j.id));

-- Everything that a search looks at, in the order in which clients are listed: facts and configuration are not touched.
CREATE INDEX clients_search ON clients (name, id, stage, alarmed, failed_job, last_seen_at, created_at, distribution, os, model_key, serial,
    agent_version, memory_bytes, disk_bytes, threads);
CREATE INDEX clients_by_stage ON clients (stage, last_seen_at, alarmed, failed_job);
CREATE INDEX clients_alarmed ON clients (name) WHERE alarmed;

CREATE TABLE client_addresses (
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    address          TEXT NOT NULL,
    address_key      TEXT NOT NULL,             -- 32 hexadecimal digits; IPv4 as ::ffff:0:0/96
    PRIMARY KEY (client_id, address)
);
CREATE INDEX client_addresses_by_key ON client_addresses (address_key, client_id);

-- A package in one version: most clients have the same ones.
CREATE TABLE packages (
    id               {ID},
    name             TEXT NOT NULL,
    architecture     TEXT NOT NULL,
    version          TEXT NOT NULL,
    version_key      TEXT{BYTEWISE} NOT NULL,   -- domain::search::version::key
    UNIQUE (name, architecture, version)
);
CREATE TABLE client_packages (
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    package_id       BIGINT NOT NULL REFERENCES packages (id),
    PRIMARY KEY (client_id, package_id)
);
CREATE INDEX client_packages_by_package ON client_packages (package_id, client_id);

-- A group whose members are found by a search; NULL for one whose members are named.
ALTER TABLE client_groups ADD COLUMN query TEXT;

CREATE TABLE saved_filters (
    id               {ID},
    owner            TEXT NOT NULL,
    name             TEXT NOT NULL,
    query            TEXT NOT NULL,
    sort             TEXT NOT NULL,
    columns          TEXT NOT NULL,             -- words, separated by commas; empty for the usual ones
    shared           BOOLEAN NOT NULL,
    created_at       BIGINT NOT NULL,
    UNIQUE (owner, name)
);

-- One order for many clients, carried out in the background, client by client.
CREATE TABLE batches (
    id               {ID},
    action           TEXT NOT NULL,             -- domain::batch::Action
    query            TEXT NOT NULL,             -- which clients were meant; empty when they were named
    actor            TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    finished_at      BIGINT
);
CREATE INDEX batches_unfinished ON batches (id) WHERE finished_at IS NULL;
CREATE TABLE batch_clients (
    batch_id         BIGINT NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    state            TEXT NOT NULL CHECK (state IN ('waiting', 'working', 'done', 'skipped', 'failed')),
    reason           TEXT NOT NULL DEFAULT '',
    changed_at       BIGINT NOT NULL,
    PRIMARY KEY (batch_id, client_id)
);
CREATE INDEX batch_clients_open ON batch_clients (batch_id, client_id) WHERE state IN ('waiting', 'working');

-- The first page.
CREATE INDEX jobs_held ON jobs (id) WHERE state = 'held';
CREATE INDEX jobs_ended ON jobs (finished_at, state) WHERE finished_at IS NOT NULL;
