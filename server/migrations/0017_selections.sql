-- Named lists of packages: what is to be there and what is not.
CREATE TABLE selections (
    id               {ID},
    name             TEXT NOT NULL UNIQUE,
    revision         BIGINT NOT NULL,           -- the newest of selection_revisions
    place            BIGINT NOT NULL,           -- lower first, where a client has several
    created_at       BIGINT NOT NULL
);

-- What a selection was after each change; a revision is written once.
CREATE TABLE selection_revisions (
    selection_id     BIGINT NOT NULL REFERENCES selections (id) ON DELETE CASCADE,
    revision         BIGINT NOT NULL,
    contents         TEXT NOT NULL,             -- domain::selection::Contents
    at               BIGINT NOT NULL,
    by_whom          TEXT NOT NULL,
    PRIMARY KEY (selection_id, revision)
);

-- The packages of the newest revision, one by one, for searches.
CREATE TABLE selection_packages (
    selection_id     BIGINT NOT NULL REFERENCES selections (id) ON DELETE CASCADE,
    removal          BOOLEAN NOT NULL,
    name             TEXT NOT NULL,
    architecture     TEXT NOT NULL,             -- empty: any
    version          TEXT NOT NULL              -- empty: any
);
CREATE INDEX selection_packages_by_selection ON selection_packages (selection_id);

-- Whose members have it.
CREATE TABLE selection_groups (
    selection_id     BIGINT NOT NULL REFERENCES selections (id) ON DELETE CASCADE,
    group_id         BIGINT NOT NULL REFERENCES client_groups (id) ON DELETE CASCADE,
    PRIMARY KEY (selection_id, group_id)
);
CREATE INDEX selection_groups_by_group ON selection_groups (group_id);

-- Which clients have it by their groups, and the job that brought it: NULL until one is queued, so each is given it once.
CREATE TABLE selection_clients (
    selection_id     BIGINT NOT NULL REFERENCES selections (id) ON DELETE CASCADE,
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    job_id           BIGINT,
    PRIMARY KEY (selection_id, client_id)
);
CREATE INDEX selection_clients_by_client ON selection_clients (client_id);
CREATE INDEX selection_clients_due ON selection_clients (client_id) WHERE job_id IS NULL;

-- A job that is carried out within the attempt of another one of its client. One attempt runs at a time, whatever it carries out.
ALTER TABLE jobs ADD COLUMN joined_to BIGINT;
-- It was carried out together with others, and that went wrong: now it runs by itself.
ALTER TABLE jobs ADD COLUMN alone BOOLEAN NOT NULL DEFAULT FALSE;
DROP INDEX jobs_one_running_per_client;
CREATE UNIQUE INDEX jobs_one_running_per_client ON jobs (client_id) WHERE state = 'running' AND joined_to IS NULL;
CREATE INDEX jobs_joined ON jobs (joined_to) WHERE joined_to IS NOT NULL;

-- The plan of an attempt that carries out several jobs; every other attempt has the plan of its job.
CREATE TABLE attempt_plans (
    attempt_id       BIGINT PRIMARY KEY REFERENCES attempts (id) ON DELETE CASCADE,
    text             TEXT NOT NULL,
    sha256           TEXT NOT NULL,
    signature        TEXT NOT NULL
);
