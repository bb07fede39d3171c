"""The options that several commands share, and the settings made from them."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from matterlog.app.settings import Settings, SettingsReader
from matterlog.producers import Failure, KafkaProducer
from matterlog.schemas.storage.database_files import DatabaseFiles

BootstrapServers = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", metavar="HOST:PORT", help="Kafka brokers; also MATTERLOG_BOOTSTRAP_SERVERS."),
]
Database = Annotated[
    Path | None,
    typer.Option("--database", metavar="FILE", help="The DuckDB file; also MATTERLOG_DATABASE. [matterlog.duckdb]"),
]
TopicPrefix = Annotated[str | None, typer.Option("--topic-prefix", metavar="TEXT", help="Prefix of the topics' names.")]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings file. [matterlog.toml]")]


def settings_of(config: Path | None, **flags: Any) -> Settings:
    """Return the settings of a command: its flags, then the environment, then the file."""
    return SettingsReader(flags, os.environ, config).settings()


def files_of(settings: Settings) -> DatabaseFiles:
    """Return the files of the database that the settings name."""
    return DatabaseFiles(settings.database.absolute(), settings.memory_limit)


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
