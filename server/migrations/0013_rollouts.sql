-- Rollouts: the same work for many clients, in waves. Everything that decides about one stands here; the server remembers nothing else.

CREATE TABLE rollout_schedules (
    id               {ID},
    name             TEXT NOT NULL UNIQUE,
    spec             TEXT NOT NULL,             -- domain::rollout::RolloutSpec; its open windows are the periods
    enabled          BOOLEAN NOT NULL DEFAULT TRUE,
    created_by       TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    version          BIGINT NOT NULL DEFAULT 1
);

CREATE TABLE rollouts (
    id               {ID},
    title            TEXT NOT NULL,
    spec             TEXT NOT NULL,             -- domain::rollout::RolloutSpec
    state            TEXT NOT NULL CHECK (state IN ('planned', 'running', 'paused', 'halted', 'finished', 'cancelled')),
    why              TEXT,                      -- domain::rollout::Why: why it does not run
    created_by       TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    started_by       TEXT,
    started_at       BIGINT,
    finished_at      BIGINT,
    ends_at          BIGINT,                    -- of a recurring one: the end of its period
    schedule_id      BIGINT REFERENCES rollout_schedules (id) ON DELETE SET NULL,
    period_at        BIGINT,                    -- the beginning of its period
    UNIQUE (schedule_id, period_at)             -- so each client has it at most once in a period
);
CREATE INDEX rollouts_running ON rollouts (id) WHERE state = 'running';

CREATE TABLE rollout_waves (
    rollout_id       BIGINT NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    number           BIGINT NOT NULL,           -- from 0
    started_at       BIGINT,
    settled_at       BIGINT,                    -- when it was good enough to go on: from then on it soaks
    forgiven         BIGINT NOT NULL DEFAULT 0, -- failures that were known when somebody let it go on
    waved_through    BOOLEAN NOT NULL DEFAULT FALSE,
    released         BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (rollout_id, number)
);

CREATE TABLE rollout_clients (
    rollout_id       BIGINT NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    wave             BIGINT NOT NULL,
    place            BIGINT NOT NULL,           -- who comes first
    state            TEXT NOT NULL CHECK (state IN ('waiting', 'held', 'queued', 'running', 'succeeded', 'failed', 'offline-expired',
                                                    'skipped', 'cancelled')),
    reason           TEXT NOT NULL DEFAULT '',
    cause            TEXT NOT NULL DEFAULT '',  -- of a failure: the reason without what differs from machine to machine
    turn             BIGINT NOT NULL DEFAULT 0, -- grows whenever it is given jobs
    job_id           BIGINT,                    -- the job that tells most: the one that failed, or the last one
    expires_at       BIGINT,                    -- given up then, when it is offline
    changed_at       BIGINT NOT NULL,
    PRIMARY KEY (rollout_id, client_id)
);
-- Counting, and finding who is next, touch only this.
CREATE INDEX rollout_clients_next ON rollout_clients (rollout_id, state, wave, place, client_id);
CREATE INDEX rollout_clients_in_flight ON rollout_clients (rollout_id, client_id) WHERE state IN ('held', 'queued', 'running');
CREATE INDEX rollout_clients_expiring ON rollout_clients (rollout_id, expires_at) WHERE state = 'waiting' AND expires_at IS NOT NULL;
CREATE INDEX rollout_clients_failed ON rollout_clients (rollout_id, cause) WHERE state = 'failed';
CREATE INDEX rollout_clients_by_place ON rollout_clients (rollout_id, place);
CREATE INDEX rollout_clients_by_client ON rollout_clients (client_id);

CREATE TABLE rollout_jobs (
    rollout_id       BIGINT NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    turn             BIGINT NOT NULL,
    job_id           BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (rollout_id, client_id, turn, job_id)
);
CREATE INDEX rollout_jobs_by_job ON rollout_jobs (job_id);
CREATE INDEX rollout_jobs_by_client ON rollout_jobs (client_id);

CREATE TABLE rollout_history (
    id               {ID},
    rollout_id       BIGINT NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    at               BIGINT NOT NULL,
    kind             TEXT NOT NULL,             -- created, started, wave, settled, paused, resumed, halted, retried, finished, cancelled
    wave             BIGINT,                    -- from 0
    count            BIGINT,                    -- of clients
    why              TEXT,                      -- domain::rollout::Why
    actor            TEXT NOT NULL
);
CREATE INDEX rollout_history_by_rollout ON rollout_history (rollout_id, id);
