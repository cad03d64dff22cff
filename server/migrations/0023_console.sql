-- Machines that clients host by orders of this server, as their agents told last.
CREATE TABLE hosted_machines (
    host_id          BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    name             TEXT NOT NULL,
    mac              TEXT,                      -- as it was ordered
    told_at          BIGINT NOT NULL,
    PRIMARY KEY (host_id, name)
);
CREATE INDEX hosted_machines_by_mac ON hosted_machines (mac);

-- What machines print on their serial line. How far their host's agent is: so many bytes into a file; how much there was: bytes of text.
CREATE TABLE serial_consoles (
    id               {ID},
    host_id          BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    machine          TEXT NOT NULL,
    file             TEXT NOT NULL,
    file_offset      BIGINT NOT NULL,
    end_byte         BIGINT NOT NULL,
    heard_at         BIGINT NOT NULL,
    UNIQUE (host_id, machine)
);
CREATE INDEX serial_consoles_by_age ON serial_consoles (heard_at);
CREATE TABLE serial_pieces (
    console_id       BIGINT NOT NULL REFERENCES serial_consoles (id) ON DELETE CASCADE,
    start_byte       BIGINT NOT NULL,
    end_byte         BIGINT NOT NULL,
    text             TEXT NOT NULL,
    came_at          BIGINT NOT NULL,
    PRIMARY KEY (console_id, start_byte)
);
