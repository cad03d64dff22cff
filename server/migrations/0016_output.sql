-- Bytes of the lines of output that were reported; what goes beyond the limit is counted, and not kept.
ALTER TABLE attempts ADD COLUMN output_bytes BIGINT NOT NULL DEFAULT 0;
-- When the output of an attempt was removed for its age.
ALTER TABLE attempts ADD COLUMN output_removed_at BIGINT;
CREATE INDEX attempts_with_output ON attempts (finished_at) WHERE finished_at IS NOT NULL AND output_removed_at IS NULL;
