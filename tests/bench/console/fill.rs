//! Writes many clients, jobs and packages straight into a database: through the API it would take hours.

use anyhow::Result;
use harness::server::{TestServer, repository};
use server::{db::Location, domain::client::ClientConfig};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

/// Different packages; each client has all of them, in one of two versions.
pub(super) const PACKAGES: u32 = 500;
/// Jobs that run, and as many that are held.
const OPEN: u32 = 200;

/// Fills the database of a server that has just been set up.
pub(super) async fn fill(server: &TestServer, clients: u32, jobs: u32) -> Result<()> {
    let statements = statements(server, clients, jobs)?;
    match &server.ctx.config.database {
        Location::Sqlite(path) => {
            let mut connection = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await?;
            for statement in statements {
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
            }
            connection.close().await?;
        }
        Location::Postgres(url) => {
            let mut connection = PgConnection::connect(url).await?;
            for statement in statements {
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
            }
            // What its own housekeeping does some time after so many rows were written.
            sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await?;
            connection.close().await?;
        }
    }
    Ok(())
}

fn statements(server: &TestServer, clients: u32, jobs: u32) -> Result<Vec<String>> {
    let now = server.ctx.now();
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let config = quoted(&serde_json::to_string(&ClientConfig::default())?);
    let facts =
        quoted(&fs_err::read_to_string(repository().join("job-scripts/_facts/metal-uefi-nvme.json"))?);
    let numbers = |most: u32| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {most})"
        )
    };
    let digits = "CAST(100000000 + i AS TEXT)";
    Ok(vec![
        format!(
            "{} INSERT INTO clients (name, stage, config, facts, facts_at, boot_id, realm, agent_version, last_seen_at, created_at, \
             traits, distribution, os, model, model_key, serial, memory_bytes, disk_bytes, threads) \
             SELECT 'pc-' || i, CASE WHEN i % 50 = 0 THEN 'registered' WHEN i % 50 = 1 THEN 'installing' ELSE 'installed' END, \
             {config}, {facts}, {now}, 'boot', 'system', '0.1.0', \
             CASE WHEN i % 100 = 2 THEN {now} - 86400000000 ELSE {now} + 3600000000 END, {now} - i * 1000000, 1, \
             'debian-12', CASE WHEN i % 3 = 0 THEN 'debian-13' ELSE 'debian-12' END, 'Dell Inc. OptiPlex ' || (7000 + i % 40), \
             'dell inc. optiplex ' || (7000 + i % 40), 'S' || i, (1 + i % 8) * 2147483648, 512000000000, 4 + i % 12 FROM n",
            numbers(clients)
        ),
        format!(
            "{} INSERT INTO client_macs (mac, client_id) SELECT '52:54:' || substr({digits}, 2, 2) || ':' || \
             substr({digits}, 4, 2) || ':' || substr({digits}, 6, 2) || ':' || substr({digits}, 8, 2), i FROM n",
            numbers(clients)
        ),
        format!(
            "{} INSERT INTO client_addresses (client_id, address, address_key) SELECT i, '10.' || (i / 65536) || '.' || \
             ((i / 256) % 256) || '.' || (i % 256), '00000000000000000000ffff' || substr({digits}, 2) FROM n",
            numbers(clients)
        ),
        format!(
            "{} INSERT INTO client_groups (name, description, created_at) SELECT 'room-' || i, '', {now} FROM n",
            numbers(100)
        ),
        format!("{} INSERT INTO group_members (group_id, client_id) SELECT 1 + i % 100, i FROM n", numbers(clients)),
        "UPDATE clients SET group_key = (SELECT min(g.name) FROM client_groups g JOIN group_members m ON m.group_id = g.id \
         WHERE m.client_id = clients.id)".to_owned(),
        format!(
            "{} INSERT INTO packages (name, architecture, version, version_key) SELECT 'package-' || (i / 2), 'amd64', \
             CASE WHEN i % 2 = 0 THEN '1.0-1' ELSE '2.0-1' END, \
             CASE WHEN i % 2 = 0 THEN '00#011}}#00##011#' ELSE '00#012}}#00##011#' END FROM n WHERE i > 1",
            numbers(2 * PACKAGES + 1)
        ),
        // One client in fifty still has the old version of a package.
        "INSERT INTO client_packages (client_id, package_id) SELECT c.id, p.id FROM clients c JOIN packages p \
         ON (p.version = '1.0-1') = ((c.id + p.id / 2) % 50 = 0)"
            .to_owned(),
        format!(
            "{} INSERT INTO jobs (client_id, job_type, params, realm, priority, state, reason, max_attempts, retry_after_s, attempts, \
             created_at, created_by, finished_at) SELECT 1 + i % {clients}, 'package-install', '{{\"packages\":[\"hello\"]}}', 'system', \
             25, CASE WHEN i <= {OPEN} THEN 'running' WHEN i <= 2 * {OPEN} THEN 'held' WHEN i % 40 = 7 THEN 'failed' \
             WHEN i % 100 = 9 THEN 'cancelled' ELSE 'succeeded' END, '', 3, 60, 1, {now} - i * 1200000, 'ann', \
             CASE WHEN i <= 2 * {OPEN} THEN NULL ELSE {now} - i * 1200000 END FROM n",
            numbers(jobs)
        ),
        format!(
            "{} INSERT INTO attempts (job_id, client_id, number, boot_id, state, step, percent, started_at, leased_until) \
             SELECT i, 1 + i % {clients}, 1, 'boot', 'running', 'packages', i % 100, {now} - 60000000, {now} + 3600000000 FROM n",
            numbers(OPEN)
        ),
        "INSERT INTO attempts (job_id, client_id, number, boot_id, state, started_at, leased_until, finished_at) \
         SELECT id, client_id, 1, 'boot', state, created_at, finished_at, finished_at FROM jobs \
         WHERE state IN ('succeeded', 'failed')"
            .to_owned(),
        "UPDATE clients SET failed_job = (SELECT max(j.id) FROM jobs j WHERE j.client_id = clients.id AND j.state = 'failed' \
         AND NOT EXISTS (SELECT 1 FROM jobs s WHERE s.client_id = clients.id AND s.state = 'succeeded' AND s.id > j.id))"
            .to_owned(),
        format!(
            "{} INSERT INTO events (at, kind, client_id, actor, detail) SELECT {now} - i * 1000000, 'job.succeeded', \
             1 + i % {clients}, 'agent', '' FROM n",
            numbers(2000)
        ),
    ])
}
