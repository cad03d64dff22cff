-- Machines that come: values kept under a name for new clients, rules for machines that announce themselves, installations of many.

CREATE TABLE presets (
    name             TEXT PRIMARY KEY,
    config           TEXT NOT NULL,             -- domain::client::ClientConfig
    member_of        TEXT NOT NULL,             -- names of groups, JSON
    updated_at       BIGINT NOT NULL
);

CREATE TABLE discovery_rules (
    name             TEXT PRIMARY KEY,
    position         BIGINT NOT NULL,           -- lower first; the first one that fits counts
    rule             TEXT NOT NULL,             -- domain::rule::Rule
    updated_at       BIGINT NOT NULL
);

-- What was begun under a key is not begun again.
CREATE TABLE mass_installations (
    key              TEXT PRIMARY KEY,
    outcome          TEXT NOT NULL,             -- app::mass_installation::MassPlan, without passwords
    created_at       BIGINT NOT NULL,
    created_by       TEXT NOT NULL
);

CREATE TABLE client_notes (
    id               {ID},
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    text             TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    created_by       TEXT NOT NULL
);
CREATE INDEX client_notes_by_client ON client_notes (client_id, id);

CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_type ON jobs (job_type, id);
