-- Upgrades of agents: which version there is, which a client has, and how long an agent that is replaced may be silent.

ALTER TABLE images ADD COLUMN version TEXT NOT NULL DEFAULT '';           -- of what it holds, where that has one
ALTER TABLE clients ADD COLUMN agent_key TEXT{BYTEWISE};                  -- the version of its agent as a text that sorts; NULL until it is heard
ALTER TABLE attempts ADD COLUMN silence_us BIGINT NOT NULL DEFAULT 0;     -- beyond its lease
CREATE INDEX clients_agent_key ON clients (agent_key);
