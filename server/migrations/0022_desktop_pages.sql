-- When the machine was asked for that a desktop has now, or is to have: its stages are counted from then.
ALTER TABLE desktops ADD COLUMN wanted_at BIGINT NOT NULL DEFAULT 0;
UPDATE desktops SET wanted_at = created_at;

-- This server's boot ISO at providers that keep one of their own: each content of it once, from before it is asked for until it is gone there.
CREATE TABLE provider_images (
    id               {ID},
    provider_id      BIGINT NOT NULL REFERENCES providers (id) ON DELETE CASCADE,
    sha256           TEXT NOT NULL,
    name             TEXT NOT NULL,             -- by which it is found there
    remote           TEXT,                      -- its id there
    state            TEXT NOT NULL CHECK (state IN ('intended', 'loading', 'ready', 'failed', 'leaving')),
    said             TEXT NOT NULL DEFAULT '',  -- how far the provider is, or why it did not get it
    percent          BIGINT,
    looks            BIGINT NOT NULL DEFAULT 0, -- in vain, since it was asked for
    registered_at    BIGINT NOT NULL,
    changed_at       BIGINT NOT NULL,           -- its state
    UNIQUE (provider_id, sha256)
);
-- When somebody looked after the images there.
ALTER TABLE providers ADD COLUMN images_at BIGINT NOT NULL DEFAULT 0;

-- Not only machines are compared any more, and both ways. What was found before is found again within a minute.
ALTER TABLE providers RENAME COLUMN strangers TO differences;
UPDATE providers SET differences = '[]';
