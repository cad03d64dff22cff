-- Attempts that ended since the last look are counted several times a minute.
CREATE INDEX attempts_finished ON attempts (finished_at) WHERE finished_at IS NOT NULL;
