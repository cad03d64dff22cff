-- Lists of clients by last contact and by group, in the order of an index instead of sorting all of them. Both indexes hold everything that
-- a search looks at, as clients_search does, so that no whole client is read to be left out.

ALTER TABLE clients ADD COLUMN group_key TEXT NOT NULL DEFAULT '';      -- the first of its named groups; db/groups.rs keeps it so
UPDATE clients SET group_key = coalesce((SELECT min(g.name) FROM client_groups g JOIN group_members m ON m.group_id = g.id
    WHERE m.client_id = clients.id), '');

CREATE INDEX clients_by_seen ON clients ((coalesce(last_seen_at, 0)), name, id, stage, alarmed, failed_job, last_seen_at, created_at,
    distribution, os, model_key, serial, agent_version, memory_bytes, disk_bytes, threads);
CREATE INDEX clients_by_group ON clients (group_key, name, id, stage, alarmed, failed_job, last_seen_at, created_at, distribution, os,
    model_key, serial, agent_version, memory_bytes, disk_bytes, threads);
