"""The rehearsal of a deletion: it counts in one committed state what a deletion would remove, and changes nothing."""

from typing import Final

import duckdb
from pydantic import AwareDatetime, BaseModel

from matterlog.report.handover.register import Register
from matterlog.report.log.snapshot import SQL as SNAPSHOT_SQL
from matterlog.report.log.snapshot import one_snapshot
from matterlog.report.purges.held_rows import count_foreign, rows_held
from matterlog.report.purges.receipts import RecalledExtract
from matterlog.schemas.storage.statements import load_statements, named_rows

SQL: Final = load_statements(__package__, "rehearsal.sql")


class Rehearsal(BaseModel, frozen=True, extra="forbid"):
    """The effects that a deletion would have.

    ``dead_letters_of_nobody`` cannot be read: no deletion reaches them, though they may belong to this matter. The
    recall list names the files that were handed out and hold the matter; ``foreign_extracts`` were made from another
    database and may hold it. ``purged_at`` is set if the matter is already deleted.
    """

    matter_id: str
    views: int
    dead_letters: int
    dead_letters_of_nobody: int
    tombstones: int
    recall: tuple[RecalledExtract, ...]
    foreign_extracts: int
    purged_at: AwareDatetime | None


def rehearse(connection: duckdb.DuckDBPyConnection, register: Register, matter: str) -> Rehearsal:
    """Count what a deletion of this matter would remove.

    Raises:
        RegisterFailed: the register of extracts cannot be read.
    """
    entries = {str(entry.extract_id): entry for entry in register.extracts()}
    with one_snapshot(connection):
        ((log_id, last_arrival),) = connection.execute(SNAPSHOT_SQL["log"]).fetchall()
        (values,) = named_rows(connection.execute(SQL["counts"], {"matter": matter}))
        held = rows_held(connection, list(entries.values()), [matter], log_id, last_arrival + 1)
    rows = dict(zip(held["extract_id"].to_pylist(), held["rows"].to_pylist(), strict=True))
    return Rehearsal(
        **values,
        matter_id=matter,
        recall=tuple(
            RecalledExtract(rows=rows[key], **entry.model_dump(include=set(RecalledExtract.model_fields) - {"rows"}))
            for key, entry in entries.items()
            if key in rows
        ),
        foreign_extracts=count_foreign(list(entries.values()), [matter], log_id)[matter],
    )
