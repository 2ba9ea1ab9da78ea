"""The tables of the index."""

from __future__ import annotations

import sqlite3

VERSION = 1
"""The format of the folder: its tables, the names and contents of its data files."""

_TABLES = """
CREATE TABLE files (
    id INTEGER PRIMARY KEY,      -- random, so that no file ever gets the name of an older one
    seq INTEGER NOT NULL,        -- ascending in the order of creation
    key BLOB NOT NULL,
    variant BLOB NOT NULL,
    pinned INTEGER NOT NULL,
    doomed INTEGER NOT NULL,
    meta BLOB NOT NULL           -- preceded by a checksum of the row
);
CREATE UNIQUE INDEX live ON files (key, variant) WHERE NOT doomed;
CREATE TABLE chunks (
    file INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    blocks BLOB NOT NULL,        -- which are there, and their checksums
    allocated INTEGER NOT NULL,  -- bytes on disk
    queue INTEGER NOT NULL,
    position INTEGER NOT NULL,   -- ascending in the order of the queue
    uses INTEGER NOT NULL,
    PRIMARY KEY (file, chunk)
) WITHOUT ROWID;
CREATE INDEX turns ON chunks (queue, position);
CREATE TABLE ghosts (chunk INTEGER PRIMARY KEY, position INTEGER NOT NULL);
CREATE INDEX oldest ON ghosts (position);
CREATE TABLE queues (queue INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, chunks INTEGER NOT NULL);
INSERT INTO queues VALUES (0, 0, 0), (1, 0, 0), (2, 0, 0);
CREATE TABLE reserved (process INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO counters VALUES ('position', 0), ('swept', 0);
"""


_BY_GROUP = "CREATE INDEX IF NOT EXISTS groups ON chunks (file & 255)"
"""For the start, which looks at one directory of data files after the other."""


class WrongVersion(Exception):
    """Raised for an index of another format."""


def configure(connection: sqlite3.Connection) -> None:
    """Set what SQLite doesn't keep in the file."""
    connection.text_factory = bytes  # nothing in a row may make reading it fail
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 256")
    connection.execute("PRAGMA journal_size_limit = 1048576")
    connection.execute("PRAGMA cache_size = -4096")


def is_made(connection: sqlite3.Connection) -> bool:
    """Return whether the tables are there, in this format."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(version == VERSION)


def make_or_check(connection: sqlite3.Connection) -> None:
    """Create the tables of an empty index. Raise WrongVersion or sqlite3.Error for a bad one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if version == 0 and tables == 0:
        connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
    elif version != VERSION:
        raise WrongVersion(f"has format {version}, and this version of aprp writes {VERSION}")
    (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise sqlite3.DatabaseError(said)
    connection.execute(_BY_GROUP)
