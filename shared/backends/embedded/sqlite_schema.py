"""The tables of the embedded store, and how a connection is opened.

A task is one JSON document; the columns beside it repeat what is searched for. Times are integers: microseconds
since 1970 UTC.
"""

from __future__ import annotations

import time
from pathlib import Path

import apsw

from shared.errors import ConfigurationError

SCHEMA_VERSION = 1
BUSY_TIMEOUT_MILLISECONDS = 10_000

SCHEMA = """
create table tasks (
    sequence integer primary key autoincrement,     -- the order of submits
    task_id text not null unique,
    kind text not null,
    owner text not null,
    status text not null,
    fence integer not null,
    worker text,
    created_at integer not null,
    updated_at integer not null,
    completed_at integer,
    lease_until integer,
    not_before integer not null,                    -- a retry's delay
    dispatch_at integer,
    webhook_at integer,                             -- when the webhook is due, null when it is not
    idempotency_owner text,
    idempotency_key text,
    idempotency_digest text,
    idempotency_until integer,
    document text not null
);
create index pending_by_kind on tasks (kind, sequence) where status = 'pending';
create index pending_by_dispatch on tasks (dispatch_at) where status = 'pending';
create index processing_by_lease on tasks (lease_until) where status = 'processing';
create index webhooks_due on tasks (webhook_at) where webhook_at is not null;
create unique index idempotency on tasks (idempotency_owner, idempotency_key) where idempotency_key is not null;
create index by_owner on tasks (owner, sequence);
create index by_status on tasks (status, owner);
create index by_end on tasks (completed_at) where completed_at is not null;
create index by_activity on tasks (updated_at);
"""


def connect(path: Path) -> apsw.Connection:
    """A connection in WAL mode whose every commit is synced to the disk, with the tables in place.

    Raises `ConfigurationError` when the file was written by a newer version.
    """
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_TIMEOUT_MILLISECONDS)
    _use_wal(connection)
    connection.execute("pragma synchronous = full")
    connection.execute("pragma journal_size_limit = 67108864")
    _migrate(connection, path)
    return connection


def _use_wal(connection: apsw.Connection) -> None:
    # Changing the journal mode does not wait for other connections as everything else does.
    deadline = time.monotonic() + BUSY_TIMEOUT_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("pragma journal_mode = wal").fetchall()
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _migrate(connection: apsw.Connection, path: Path) -> None:
    if _version(connection) == SCHEMA_VERSION:
        return
    connection.execute("begin immediate")
    try:
        version = _version(connection)  # another process may have been first
        if version > SCHEMA_VERSION:
            raise ConfigurationError(
                f"LASTFRAME_STORE_URL: {path} was written by a newer version of Last Frame (schema {version}, this one"
                f" knows {SCHEMA_VERSION}). Start that version, or name another file."
            )
        if version == 0:
            connection.execute(SCHEMA)
            connection.execute(f"pragma user_version = {SCHEMA_VERSION}")
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise


def _version(connection: apsw.Connection) -> int:
    return int(connection.execute("pragma user_version").get)
