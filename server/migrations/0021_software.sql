-- Jobs that take packages of a client into a repository: only these may send any, and only there.
CREATE TABLE repository_takings (
    job_id           BIGINT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    repository_id    BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE
);

-- Clients are searched by packages that few of them have: PostgreSQL counts more of the different packages than the hundred most frequent.
{POSTGRES} ALTER TABLE client_packages ALTER COLUMN package_id SET STATISTICS 2000;
