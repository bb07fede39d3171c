"""``matterlog settings``: prints every setting with its source."""

import json
from typing import Annotated

import typer

from matterlog.app.commands.options import flags_of, reader_of, with_value
from matterlog.app.settings import SettingsReader
from matterlog.app.terminal.tables import print_table


@with_value("reader", reader_of, flags_of("bootstrap_servers", "database", "topic_prefix"), last=True)
def settings(
    reader: SettingsReader, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Print every setting with its source, secrets masked.

    A flag overrides the environment, which overrides matterlog.toml. Give a librdkafka setting as
    MATTERLOG_KAFKA_<NAME_WITH_UNDERSCORES>, or under [kafka] in the file.

    \b
    Example:
      MATTERLOG_KAFKA_SECURITY_PROTOCOL=SSL matterlog settings
    """
    sources = reader.sources()
    if as_json:
        typer.echo(json.dumps({name: {"value": value, "source": source} for name, (value, source) in sources.items()}))
        return
    print_table(("setting", "value", "source"), ((name, *found) for name, found in sources.items()))
