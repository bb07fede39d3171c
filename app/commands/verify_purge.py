"""``matterlog verify-purge``: searches for a deleted matter everywhere that matterlog can look."""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from matterlog.app.commands.options import log_of, with_settings
from matterlog.app.owner.access import ask_owner, open_log
from matterlog.app.owner.questions import ReceiptsQuestion, VerifyQuestion
from matterlog.app.owner.registered_extracts import register_of
from matterlog.app.settings import Settings
from matterlog.consumers.erasure.verify_purge import Search, look_in_others, look_in_topics
from matterlog.consumers.errors import ConsumerError
from matterlog.report.errors import NoDatabase
from matterlog.report.handover.register import RegisterEntry
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.lake import Lake

_FOUND = 1
_NOT_ALL_SEEN = 3


@with_settings("bootstrap_servers", "database", "topic_prefix")
def verify_purge(
    settings: Settings,
    matter: Annotated[str, typer.Argument(metavar="MATTER_ID", help="The deleted matter's ID.")],
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text", metavar="TEXT|-", help="Also search for this text, such as a name; repeat for more. -: see below."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also print each record of the topics, as it is found.")] = False,
) -> None:
    """Search every known place for a deleted matter.

    Searches the database, the files beside it, extracts and both topics, and prints a line FOUND for each place that
    holds the matter, of a topic for each partition. Of a lake it searches every object of the storage, the catalogue's
    tables and statistics, and PostgreSQL's files and write-ahead log.

    The log no longer has its names, so this searches for its ID and for each --text. Every user of the machine can read
    a command's arguments: --text - reads the texts from standard input, one on each line. It does not find
    a --text in compressed data. Exit code 0: searched everywhere, found nothing. 1: found. 3: not found, but not every
    place could be searched.

    \b
    Example:
      matterlog verify-purge m-42 --text "Project Heron" --bootstrap-servers kafka:9092
    """
    os.umask(0o077)  # files beside the database hold personal data
    place, texts = log_of(settings), tuple(_texts(text or ()))
    if isinstance(place, DatabaseFiles) and not place.database.exists():
        raise NoDatabase(f"there is no database at {place.database}. Give --database FILE")
    search = Search(matter=matter, texts=texts, views_topic=settings.topics().matter_views.name)
    extracts = register_of(place).extracts()
    looked = _in_storage(place, search, tuple(each.name for each in extracts if Path(each.name).is_absolute()))
    in_topics, unseen = _in_topics(settings, search, every=every)
    in_tables, unknown = _in_tables(settings, matter, extracts)
    found, not_seen = [*looked["found"], *in_tables, *in_topics], [*looked["unseen"], *unknown, *unseen]
    for place in found:
        _tell_found(place)
    for place in not_seen:
        _tell_unseen(place)
    typer.echo(
        f"{len(found)} places hold matter {matter}. Searched {looked['files']} files"
        f"{'' if unseen else ' and both topics'}. {len(not_seen)} places could not be searched"
    )
    if found or not_seen:
        raise typer.Exit(_FOUND if found else _NOT_ALL_SEEN)


def _texts(given: Iterable[str]) -> Iterator[str]:
    for text in given:
        yield from filter(None, sys.stdin.read().splitlines() if text == "-" else (text,))


def _in_storage(place: DatabaseFiles | Lake, search: Search, extracts: tuple[str, ...]) -> dict[str, Any]:
    """Search what the log is kept in, and the extracts; raises as ``ask_owner``."""
    if isinstance(place, Lake):
        from matterlog.consumers.lake.verify_lake import look_in_lake  # noqa: PLC0415 - needs the extra `lake`

        return look_in_lake(place, search, extracts)
    beside = ask_owner(place, VerifyQuestion(matter=search.matter, texts=search.texts))
    others = look_in_others(search, extracts, place.database.parent)
    return {name: beside[name] + others[name] for name in others}


def _in_tables(settings: Settings, matter: str, entries: list[RegisterEntry]) -> tuple[list[str], list[str]]:
    """Return the recalled engagement tables that still exist, and a reason if the recall list is incomplete."""
    there = [entry for entry in entries if entry.analysis is not None and Path(entry.name).is_file()]
    if not there:
        return [], []
    with open_log(log_of(settings)) as log:
        receipts = log.ask(ReceiptsQuestion(matter=matter))
    recalled = {each.extract_id for receipt in receipts for each in receipt.recall}
    found = [
        f"{entry.name}: an engagement table that counted views of the matter"
        for entry in there
        if entry.extract_id in recalled and _sha256_of(Path(entry.name)) == entry.sha256
    ]
    complete = all(receipt.recall_complete for receipt in receipts)
    return found, [] if complete else ["engagement tables: the deletion could not read the register of extracts"]


def _sha256_of(path: Path) -> str | None:
    """Return a file's hash; None if it cannot be read, which the search of the files reports."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _tell_found(place: str) -> None:
    typer.echo(f"FOUND  {place}")


def _tell_unseen(place: str) -> None:
    typer.echo(f"NOT LOOKED AT  {place}", err=True)


def _in_topics(settings: Settings, search: Search, *, every: bool) -> tuple[list[str], list[str]]:
    """Return the partitions that hold the matter, and what of the topics could not be looked at, and why."""
    if not settings.bootstrap_servers:
        return [], ["the topics: no broker is set"]
    try:
        settings.await_kafka()
        with closing(settings.kafka_source()) as source:
            return look_in_topics(source, search, *((_tell_found, _tell_unseen) if every else ()))
    except ConsumerError as error:
        return [], [f"the topics: {error}"]
