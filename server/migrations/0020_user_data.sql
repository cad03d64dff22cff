-- The token in a machine's user-data is there at every start, so it lets its machine in for as long as that waits for the installer.

ALTER TABLE enrol_tokens ADD COLUMN lasting BOOLEAN NOT NULL DEFAULT FALSE;
