-- Clients that were taken over with their system: Lotse has not installed it. The row goes when Lotse does.
CREATE TABLE integrations (
    client_id     BIGINT PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    ordered_at    BIGINT NOT NULL,
    ordered_by    TEXT NOT NULL,
    ssh_address   TEXT NOT NULL DEFAULT '',  -- over which it was taken over; empty for the copied command
    ssh_host_key  TEXT NOT NULL DEFAULT '',  -- SHA256:…, pinned
    survey        TEXT,                      -- how the system was set up when it was last looked at
    surveyed_at   BIGINT,
    taken_over_at BIGINT                     -- when its first survey went into the record
);
