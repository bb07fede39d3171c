"""``matterlog settings``: prints every setting with its source."""

import json
import os
from typing import Annotated

import typer

from matterlog.app.commands.options import BootstrapServers, Config, Database, TopicPrefix
from matterlog.app.settings import SettingsReader
from matterlog.app.terminal.tables import print_table


def show_settings(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    bootstrap_servers: BootstrapServers = None,
    database: Database = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Print every setting with its source, secrets masked.

    A flag overrides the environment, which overrides matterlog.toml. Give a librdkafka setting as
    MATTERLOG_KAFKA_<NAME_WITH_UNDERSCORES>, or under [kafka] in the file.

    \b
    Example:
      MATTERLOG_KAFKA_SECURITY_PROTOCOL=SSL matterlog settings
    """
    flags = {"bootstrap_servers": bootstrap_servers, "database": database, "topic_prefix": topic_prefix}
    sources = SettingsReader(flags, os.environ, config).sources()
    if as_json:
        typer.echo(json.dumps({name: {"value": value, "source": source} for name, (value, source) in sources.items()}))
        return
    print_table(("setting", "value", "source"), ((name, *found) for name, found in sources.items()))
