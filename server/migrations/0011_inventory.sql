-- What agents tell of the packages of their systems, and reports that are mailed by the calendar.

ALTER TABLE client_packages ADD COLUMN automatic BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE client_packages ADD COLUMN held BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE client_packages ADD COLUMN size_bytes BIGINT NOT NULL DEFAULT 0;

-- The newer version that an upgrade would bring; most packages have none.
CREATE TABLE client_updates (
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    package_id       BIGINT NOT NULL REFERENCES packages (id),
    version          TEXT NOT NULL,
    security         BOOLEAN NOT NULL,
    PRIMARY KEY (client_id, package_id)
);

CREATE TABLE inventories (
    client_id        BIGINT PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    sha256           TEXT NOT NULL,             -- of all packages as the agent tells them
    family           TEXT NOT NULL,
    collected_at     BIGINT NOT NULL,           -- by the agent's clock
    received_at      BIGINT NOT NULL,
    first_at         BIGINT NOT NULL,           -- since when the history is complete
    packages         BIGINT NOT NULL,           -- how many
    condition        TEXT NOT NULL              -- JSON wire::packages::Condition
);

-- Searched by. -1: not known.
ALTER TABLE clients ADD COLUMN updates BIGINT NOT NULL DEFAULT -1;
ALTER TABLE clients ADD COLUMN security_updates BIGINT NOT NULL DEFAULT -1;
ALTER TABLE clients ADD COLUMN reboot_needed BOOLEAN NOT NULL DEFAULT FALSE;
DROP INDEX clients_search;
CREATE INDEX clients_search ON clients (name, id, stage, alarmed, failed_job, last_seen_at, created_at, distribution, os, model_key, serial,
    agent_version, memory_bytes, disk_bytes, threads, updates, security_updates, reboot_needed);

CREATE TABLE package_changes (
    id               {ID},
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    at               BIGINT NOT NULL,
    name             TEXT NOT NULL,
    architecture     TEXT NOT NULL,
    was              TEXT NOT NULL,             -- version; empty: it was not there
    became           TEXT NOT NULL,             -- version; empty: it was removed
    job_id           BIGINT                     -- during which job, as far as the agent knows
);
CREATE INDEX package_changes_of_client ON package_changes (client_id, id);
CREATE INDEX package_changes_by_age ON package_changes (at);

CREATE TABLE report_mails (
    id               {ID},
    name             TEXT NOT NULL UNIQUE,
    wanted           TEXT NOT NULL,             -- JSON domain::report_mail::MailWish
    next_at          BIGINT NOT NULL,           -- when its next period begins
    created_at       BIGINT NOT NULL,
    version          BIGINT NOT NULL DEFAULT 0
);
-- One row for each period in which a report is sent: taking it is what keeps it from being sent twice.
CREATE TABLE report_sendings (
    id               {ID},
    mail_id          BIGINT NOT NULL REFERENCES report_mails (id) ON DELETE CASCADE,
    period_at        BIGINT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'sent', 'given-up', 'unknown')),
    attempts         BIGINT NOT NULL DEFAULT 0,
    next_at          BIGINT NOT NULL,
    error            TEXT NOT NULL DEFAULT '',
    row_count        BIGINT,
    finished_at      BIGINT,
    UNIQUE (mail_id, period_at)
);
CREATE INDEX report_sendings_open ON report_sendings (next_at) WHERE state IN ('waiting', 'sending');
