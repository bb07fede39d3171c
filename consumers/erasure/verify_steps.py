"""Search for a matter in files, in a fresh process, because the owner must not open its own files.

A database is searched with SQL: as it is, and with each of its two headers copied over the other, which restores rows
that a purge without a rewrite left behind. It is also searched byte by byte for the operator's texts. Other files are
searched byte by byte for the matter's ID and the texts, after unpacking. Unreadable files are listed as *unseen*.

Run as ``python -m matterlog.consumers.erasure.verify_steps look FOLDER DATABASE``. The matter's ID and the texts come
on standard input, because every user of the machine can read a process's arguments.
"""

import glob
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final
from xml.sax.saxutils import escape

import duckdb

from matterlog.consumers.database.copies import shred
from matterlog.consumers.database.erase_steps import CLONE, clone, run_as_step
from matterlog.consumers.database.opening import connect
from matterlog.schemas import MatterDeleted, MatterlogError, MatterViewed, decode
from matterlog.schemas.formula_guard import with_formula_guard
from matterlog.schemas.storage.private_files import is_foreign_link
from matterlog.schemas.storage.statements import load_statements, quoted

SQL: Final = load_statements(__package__, "verify.sql")
_HEADER_BYTES: Final = 4096
_HEADERS_AT: Final = (4096, 8192)
_CHUNK_BYTES: Final = 1 << 24
_MEMORY_LIMIT: Final = "1GB"
# Beside the database, but not part of the log: lock, socket, accounts, register of extracts, and this search's copy.
_NOT_LOOKED_AT: Final = (".lock", ".sock", ".accounts", ".extracts.sqlite", ".verifying")


@dataclass(slots=True)
class SearchResult:
    """The places where the matter was found or that are unreadable, in words, and how many files were searched."""

    found: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    files: int = 0


def holds(record: bytes, matter: str, texts: Sequence[str]) -> bool:
    """Return whether an event's bytes belong to this matter or hold one of the texts. Its deletion does not count."""
    try:
        event: MatterViewed | MatterDeleted | None = decode(record)
    except MatterlogError:
        event = None
    if isinstance(event, MatterDeleted):
        return False
    if isinstance(event, MatterViewed) and event.matter_id == matter:
        return True
    sought = texts if event else (matter, *texts)
    return any(text.encode() in record for text in sought)


@dataclass(slots=True)
class FileSearch:
    """A search of files for a matter and texts.

    Args:
        folder: for copies of files.
        matter: the matter's ID.
        texts: texts of it.
        looked: the result so far.
    """

    folder: Path
    matter: str
    texts: Sequence[str]
    looked: SearchResult = field(default_factory=SearchResult)

    def database(self, file: Path, name: str) -> None:
        """Search a database that nobody else has open, and whose headers may be changed meanwhile."""
        self.looked.files += 1
        self._tables(file, name)
        with file.open("r+b", buffering=0) as handle:
            for source, target in (_HEADERS_AT, _HEADERS_AT[::-1]):
                other, own = (os.pread(handle.fileno(), _HEADER_BYTES, at) for at in (source, target))
                os.pwrite(handle.fileno(), other, target)
                self._tables(file, f"{name}, with an older header restored", may_fail=True)
                os.pwrite(handle.fileno(), own, target)
            self.content(handle, self.texts, name)

    def _tables(self, file: Path, name: str, *, may_fail: bool = False) -> None:
        try:
            with connect(self.folder / "spill", _MEMORY_LIMIT) as connection:
                connection.execute(f"ATTACH {quoted(file)} AS held (READ_ONLY)")
                connection.execute("USE held")
                views = connection.execute(SQL["views"], {"matter": self.matter}).fetchall()[0][0]
                letters, first = self._letters(connection)
        except duckdb.Error as error:
            # A header whose blocks are gone leads nowhere: it cannot restore any rows.
            if not may_fail:
                self.looked.unseen.append(f"{name}: it cannot be opened ({type(error).__name__})")
            return
        if views:
            self.looked.found.append(f"{name}: {views} rows of the activity table")
        if letters:
            self.looked.found.append(f"{name}: {letters:,} dead letters, the first {first}")

    def _letters(self, connection: duckdb.DuckDBPyConnection) -> tuple[int, str]:
        """Return how many dead letters belong to the matter, or hold its ID or a text, and the place of the first."""
        count, first = 0, ""
        connection.execute(SQL["dead_letters"])
        while (letter := connection.fetchone()) is not None:
            topic, partition, offset, owner, content = letter
            if owner == self.matter or any(holds(one, self.matter, self.texts) for one in content):
                count, first = count + 1, first or f"{topic}:{partition}:{offset}"
        return count, first

    def file(self, file: Path, name: str) -> None:
        """Search any file: a database, an archive, a Parquet file, or plain bytes."""
        with file.open("rb") as handle:
            start = handle.read(16)
        sought = [self.matter, *self.texts]
        if start[8:12] == b"DUCK":
            copy = self.folder / "copy.duckdb"
            shutil.copyfile(file, copy)
            self.database(copy, name)
            shred(copy)
            return
        self.looked.files += 1
        if start[:4] == b"PAR1":
            statement = SQL["parquet"].format(file=quoted(file))
            with connect(self.folder / "spill", _MEMORY_LIMIT) as connection:
                if connection.execute(statement, {"sought": sought}).fetchall()[0][0]:
                    self.looked.found.append(f"{name}: a row")
        elif zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                for member in archive.namelist():
                    with archive.open(member) as content:
                        self.content(content, sought, name)  # type: ignore[arg-type]  # reads as a file does
        else:
            with file.open("rb") as handle:
                self.content(handle, sought, name)

    def others(self, files: Iterable[Path]) -> None:
        """Search these files, unless they were removed."""
        for file in files:
            # At a pipe a search would wait for ever.
            if is_foreign_link(file) or (file.exists() and not file.is_file()):
                self.looked.unseen.append(f"{file.name}: it is no file, or a link in a folder that others can write")
                continue
            try:
                self.file(file, file.name)
            except FileNotFoundError:
                continue  # removed meanwhile, or after it was handed out
            except (OSError, duckdb.Error, zipfile.BadZipFile) as error:
                self.looked.unseen.append(f"{file.name}: it cannot be read ({type(error).__name__})")

    def content(self, handle: BinaryIO, sought: Sequence[str], name: str) -> None:
        """Search plain bytes for texts, also as CSV, JSON and XML write them."""
        needles: dict[bytes, str] = {}
        for text in sought:
            cells = (each.replace('"', '""') for each in (text, with_formula_guard(text)))
            written = (text, *cells, json.dumps(text, ensure_ascii=False)[1:-1], escape(text))
            needles |= dict.fromkeys((each.encode() for each in written), text)
        longest, kept = max((len(needle) for needle in needles), default=0), b""
        while chunk := handle.read(_CHUNK_BYTES):
            data = kept + chunk
            for needle, text in needles.items():
                if needle in data:
                    self.looked.found.append(f"{name}: {'the ID' if text == self.matter else 'a text'}")
                    return
            kept = data[-longest:]


def _beside(database: Path) -> Iterator[Path]:
    for beside in sorted(database.parent.glob(f"{glob.escape(database.name)}.*")):
        if beside.name.removeprefix(database.name).startswith(_NOT_LOOKED_AT):
            continue
        below = () if is_foreign_link(beside) else sorted(beside.rglob("*"))
        yield from (file for file in (beside, *below) if file.is_file() or is_foreign_link(file))


def look(folder: str, database: str, matter: str, *texts: str) -> dict[str, Any]:
    """Search the clone of a database, and the files beside it. Return a ``SearchResult`` as a dict."""
    search = FileSearch(Path(folder), matter, texts)
    search.database(Path(folder, CLONE), Path(database).name)
    search.others(_beside(Path(database)))
    return asdict(search.looked)


STEPS: Final[Mapping[str, Callable[..., object]]] = {"clone": clone, "look": look}

if __name__ == "__main__":
    run_as_step(STEPS, *sys.argv[1:])
