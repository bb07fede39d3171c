"""The options that several commands share, and the settings made from them."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from matterlog.app.errors import WrongUse
from matterlog.app.owner.spill import spill_folder
from matterlog.app.settings import Settings, SettingsReader
from matterlog.producers import Failure, KafkaProducer
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.lake import Lake

BootstrapServers = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", metavar="HOST:PORT", help="Kafka brokers; also MATTERLOG_BOOTSTRAP_SERVERS."),
]
Database = Annotated[
    Path | None,
    typer.Option("--database", metavar="FILE", help="The DuckDB file; also MATTERLOG_DATABASE. [matterlog.duckdb]"),
]
LakeCatalogue = Annotated[
    str | None,
    typer.Option(
        "--lake-catalogue", metavar="URL", help="PostgreSQL URL of a lake's catalogue, instead of a database."
    ),
]
LakeData = Annotated[
    str | None, typer.Option("--lake-data", metavar="PLACE", help="The lake's files: s3://BUCKET/PREFIX, or a folder.")
]
TopicPrefix = Annotated[str | None, typer.Option("--topic-prefix", metavar="TEXT", help="Prefix of the topics' names.")]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings file. [matterlog.toml]")]


def settings_of(config: Path | None, **flags: Any) -> Settings:
    """Return the settings of a command: its flags, then the environment, then the file."""
    return SettingsReader(flags, os.environ, config).settings()


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


def producer_of(
    settings: Settings,
    *,
    defaults: Mapping[str, str] = MappingProxyType({}),
    on_failure: Callable[[Failure], None] | None = None,
) -> KafkaProducer:
    """Make the transport that the settings describe; they override the command's own ``defaults``."""
    return KafkaProducer(
        settings.broker(),
        settings={**defaults, **settings.kafka},
        on_failure=on_failure,
        schema_registry=settings.schema_registry_url,
    )
