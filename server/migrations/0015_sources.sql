-- Source lists, the index that packages are searched in, and own repositories.

CREATE TABLE source_lists (
    name             TEXT PRIMARY KEY,
    wish             TEXT NOT NULL,             -- JSON domain::source_list::ListWish
    changed_at       BIGINT NOT NULL,
    changed_by       TEXT NOT NULL
);
-- Who gets which list beside the distribution's. A list may be one that Lotse brings, which is in no table.
CREATE TABLE source_list_groups (
    list             TEXT NOT NULL,
    group_id         BIGINT NOT NULL REFERENCES client_groups (id) ON DELETE CASCADE,
    PRIMARY KEY (list, group_id)
);
CREATE INDEX source_list_groups_by_group ON source_list_groups (group_id);
CREATE TABLE source_list_clients (
    list             TEXT NOT NULL,
    client_id        BIGINT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    PRIMARY KEY (list, client_id)
);
CREATE INDEX source_list_clients_by_client ON source_list_clients (client_id);

-- What archives offer. A new version of an index is written beside the old one, and counts from one moment on.
CREATE TABLE archive_indices (
    id               {ID},
    archive          TEXT NOT NULL,             -- a mirror of the package cache, or repository:NAME
    suite            TEXT NOT NULL,
    component        TEXT NOT NULL,
    architecture     TEXT NOT NULL,
    sha256           TEXT NOT NULL,             -- of the index; empty: not read yet
    dated_at         BIGINT NOT NULL,           -- when the archive signed it
    read_at          BIGINT NOT NULL,           -- when the archive was last asked
    wanted_at        BIGINT NOT NULL,           -- when somebody last searched in it
    packages         BIGINT NOT NULL,           -- how many
    problem          TEXT NOT NULL,             -- why it could not be read anew
    live             BIGINT                     -- the version that counts; absent: none yet
);
CREATE UNIQUE INDEX archive_indices_by_place ON archive_indices (archive, suite, component, architecture);
CREATE TABLE archive_versions (
    id               {ID},
    index_id         BIGINT NOT NULL,           -- which may be gone: then it does not count either
    begun_at         BIGINT NOT NULL
);
CREATE TABLE archive_packages (
    version_id       BIGINT NOT NULL,           -- of archive_versions
    number           BIGINT NOT NULL,           -- as the index has them
    name             TEXT NOT NULL,
    version          TEXT NOT NULL,
    section          TEXT NOT NULL,
    size_bytes       BIGINT NOT NULL,
    installed_bytes  BIGINT NOT NULL,
    description      TEXT NOT NULL,
    words            TEXT NOT NULL,             -- name and description in small letters: looked for in here
    PRIMARY KEY (version_id, number)
);

CREATE TABLE repositories (
    id               {ID},
    name             TEXT NOT NULL UNIQUE,
    description      TEXT NOT NULL,
    keep             BIGINT NOT NULL,           -- versions of a package that stay in testing
    created_at       BIGINT NOT NULL
);
CREATE TABLE repository_packages (
    id               {ID},
    repository_id    BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    name             TEXT NOT NULL,
    version          TEXT NOT NULL,
    architecture     TEXT NOT NULL,
    sha256           TEXT NOT NULL,
    size_bytes       BIGINT NOT NULL,
    control          TEXT NOT NULL,             -- its paragraph, as the package has it
    uploaded_at      BIGINT NOT NULL,
    uploaded_by      TEXT NOT NULL,
    UNIQUE (repository_id, name, version, architecture)
);
CREATE INDEX repository_packages_by_content ON repository_packages (sha256);
-- Every state that a suite was ever in. The one with the highest number is what clients get.
CREATE TABLE repository_snapshots (
    id               {ID},
    repository_id    BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    suite            TEXT NOT NULL CHECK (suite IN ('testing', 'production')),
    number           BIGINT NOT NULL,           -- from 1
    packages         TEXT NOT NULL,             -- JSON: numbers of repository_packages
    why              TEXT NOT NULL,             -- upload, remove, promote, roll-back
    made_at          BIGINT NOT NULL,
    made_by          TEXT NOT NULL,
    release          TEXT NOT NULL,             -- the signed text
    in_release       TEXT NOT NULL,
    signature        TEXT NOT NULL,             -- Release.gpg
    files            TEXT NOT NULL,             -- JSON: path below the suite -> hash
    UNIQUE (repository_id, suite, number)
);
