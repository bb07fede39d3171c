"""The options that several commands share, and the settings made from them."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from matterlog.app.errors import WrongUse
from matterlog.app.owner.spill import spill_folder
from matterlog.app.settings import Settings, SettingsReader
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.lake import Lake

AcceptGaps = Annotated[
    bool, typer.Option("--accept-gaps", help="Note which records expired unread, and continue after them.")
]
# A setting's name -> its flag.
_FLAGS: Final[Mapping[str, Any]] = {
    "bootstrap_servers": Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Kafka brokers; also MATTERLOG_BOOTSTRAP_SERVERS.")
    ],
    "database": Annotated[
        Path | None, typer.Option(metavar="FILE", help="The DuckDB file; also MATTERLOG_DATABASE. [matterlog.duckdb]")
    ],
    "topic_prefix": Annotated[str | None, typer.Option(metavar="TEXT", help="Prefix of the topics' names.")],
    "config": Annotated[Path | None, typer.Option(metavar="FILE", help="Settings file. [matterlog.toml]")],
    "lake_catalogue": Annotated[
        str | None, typer.Option(metavar="URL", help="PostgreSQL URL of a lake's catalogue, instead of a database.")
    ],
    "lake_data": Annotated[
        str | None, typer.Option(metavar="PLACE", help="The lake's files: s3://BUCKET/PREFIX, or a folder.")
    ],
    "batch_records": Annotated[int | None, typer.Option(help="Most records in one transaction. [61440]")],
    "max_dead_letters": Annotated[
        float | None,
        typer.Option(help="Stop a topic if more than this share of a batch, 0 to 1, is dead letters. [0.5]"),
    ],
    "erase_within": Annotated[
        str | None, typer.Option(metavar="TIME", help="By when a deletion has reached every place, such as 24h. [24h]")
    ],
    "keep_backups": Annotated[int | None, typer.Option(help="Number of backups to keep. [3]")],
    "keep_snapshots": Annotated[int | None, typer.Option(hidden=True)],
    "host": Annotated[str | None, typer.Option(help="Address that the site listens on. [127.0.0.1]")],
    "port": Annotated[int | None, typer.Option(help="Port of the site; 0 picks a free one. [8080]")],
    "tls_certificate": Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate chain, a PEM file.")],
    "tls_key": Annotated[Path | None, typer.Option(metavar="FILE", help="Private key, a PEM file.")],
    "insecure_bind": Annotated[
        bool | None, typer.Option("--insecure-bind", help="Accept other machines without TLS, behind a proxy.")
    ],
    "trusted_proxy": Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Proxy whose X-Forwarded-* headers are trusted.")
    ],
}
# A function that typer makes a command of.
Command = Callable[..., None]


def with_value(
    parameter: str, make: Callable[..., Any], options: Sequence[Parameter], *, last: bool = False
) -> Callable[[Command], Command]:
    """Give a command a value that ``make`` makes of options, which stand in the parameter's place, or ``last``."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(**given: Any) -> None:
            value = make(**{each.name: given.pop(each.name) for each in options})
            command(**given, **{parameter: value})

        own = dict(signature(command).parameters)
        if last:
            own[parameter] = own.pop(parameter)
        shown = [each for name, one in own.items() for each in (options if name == parameter else (one,))]
        keywords = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in shown]
        run.__signature__ = Signature(keywords)  # type: ignore[attr-defined]  # what typer reads
        return run

    return decorate


def with_settings(*names: str) -> Callable[[Command], Command]:
    """Give a command its ``settings``: of flags with these names, the environment, and the file of ``--config``."""
    return with_value("settings", lambda **flags: reader_of(**flags).settings(), flags_of(*names), last=True)


def flags_of(*names: str) -> list[Parameter]:
    """Return the flags with these names, and ``--config``."""
    kind = Parameter.KEYWORD_ONLY
    return [Parameter(name, kind, default=None, annotation=_FLAGS[name]) for name in (*names, "config")]


def reader_of(config: Path | None, **flags: Any) -> SettingsReader:
    """Return the settings of a command: its flags, then the environment, then the file."""
    return SettingsReader(flags, os.environ, config)


def files_of(settings: Settings) -> DatabaseFiles:
    """Return the files of the database that the settings name.

    Raises:
        WrongUse: they name a lake.
    """
    if settings.lake_catalogue is not None:
        raise WrongUse("this command is for a database file, and the settings name a lake (lake_catalogue)")
    return DatabaseFiles(settings.database.absolute(), settings.memory_limit)


def log_of(settings: Settings) -> DatabaseFiles | Lake:
    """Return where the settings say that the log is: in a database file, or on a lake; raises as ``lake_of``."""
    return files_of(settings) if settings.lake_catalogue is None else lake_of(settings)


def lake_of(settings: Settings) -> Lake:
    """Return the lake that the settings name.

    Raises:
        WrongUse: they name none, only half of one, or no URL.
    """
    if settings.lake_catalogue is None or settings.lake_data is None:
        raise WrongUse(
            "a lake needs both: give --lake-catalogue postgresql://HOST/NAME and --lake-data s3://BUCKET/PREFIX"
        )
    try:
        return Lake(
            catalogue=settings.lake_catalogue,
            data=settings.lake_data if "://" in settings.lake_data else f"{Path(settings.lake_data).absolute()}/",
            spill=spill_folder(),
            encrypted=settings.lake_encrypted,
            memory_limit=settings.memory_limit,
        )
    except ValueError:  # its text may hold a password
        raise WrongUse("setting lake_catalogue is not a URL: give postgresql://HOST/NAME") from None
