-- Own versions of job scripts, and what reports need that nothing else keeps.

-- Every version that was ever uploaded stays; which one counts is a choice beside them.
CREATE TABLE job_script_versions (
    id               {ID},
    name             TEXT NOT NULL,             -- of the job type
    number           BIGINT NOT NULL,           -- 1 for the first own one
    files            TEXT NOT NULL,             -- path -> content
    comment          TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    created_by       TEXT NOT NULL,
    UNIQUE (name, number)
);
CREATE TABLE job_script_choices (
    name             TEXT PRIMARY KEY,
    number           BIGINT NOT NULL,           -- 0: the one that Lotse or the site's directory brings
    changed_at       BIGINT NOT NULL,
    changed_by       TEXT NOT NULL
);

-- What was different when a machine was measured again.
CREATE TABLE client_changes (
    id               {ID},
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    at               BIGINT NOT NULL,
    what             TEXT NOT NULL,             -- such as memory, disk, system
    was              TEXT NOT NULL,
    became           TEXT NOT NULL
);
CREATE INDEX client_changes_by_time ON client_changes (at, id);

-- Counts of a day, for charts over time.
CREATE TABLE measures (
    name             TEXT NOT NULL,
    day              BIGINT NOT NULL,           -- days since the Unix epoch, UTC
    value            BIGINT NOT NULL,
    PRIMARY KEY (name, day)
);

CREATE INDEX jobs_failed_by_end ON jobs (finished_at) WHERE state = 'failed';
