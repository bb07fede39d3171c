"""``matterlog topics``: creates both topics, and checks what a purge needs of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, astuple
from typing import Annotated, Final

import typer

from matterlog.app.commands.options import with_settings
from matterlog.app.settings import Settings
from matterlog.app.terminal.memory_shortage import with_shortage
from matterlog.app.terminal.tables import print_table
from matterlog.app.topics.topics_admin import TopicAdmin
from matterlog.app.topics.topics_check import Finding, findings
from matterlog.consumers.errors import ConsumerError
from matterlog.schemas.topics import DEFAULT_PARTITIONS

_FOUND: Final = 1
_NOT_CHECKED: Final = 3

app = typer.Typer(help="Create and check the topics.", no_args_is_help=True, rich_markup_mode=None)


@app.command("create")
@with_settings("bootstrap_servers", "topic_prefix")
def create(
    settings: Settings,
    partitions: Annotated[int, typer.Option(min=1, max=10_000, help="Partitions of each topic.")] = DEFAULT_PARTITIONS,
    replication_factor: Annotated[int, typer.Option(min=1, max=100, help="Copies of each partition.")] = 1,
) -> None:
    """Create the topics matter-views and matter-deletions.

    They get the settings that purges and rebuilds need. An existing topic is left unchanged: check it with `matterlog
    topics check`. With three or more copies, two must be written before a message counts as stored.

    \b
    Example:
      matterlog topics create --partitions 12 --replication-factor 3 --bootstrap-servers kafka:9092
    """
    admin = TopicAdmin(settings.broker(), settings.kafka, settings.broker_timeout_seconds)
    made = admin.create(settings.topics(), partitions, replication_factor)
    for name, is_new in made.items():
        typer.echo(f"{name}: {'created' if is_new else 'exists already, left unchanged'}")
    if admin.is_embedded:
        typer.echo("The embedded broker has four partitions per topic and compacts nothing.", err=True)


@app.command("check")
@with_settings("bootstrap_servers", "topic_prefix")
def check(
    settings: Settings, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False
) -> None:
    """Check that purged records will leave the topics in time.

    Lists the settings of topics and brokers that would keep a purged record past the deadline. Run it as the Kafka user
    of consume: whether that may write tombstones is checked too. Exit code 0: everything was checked, and nothing
    found. 1: found. 3: nothing found, but not everything could be asked, for want of a right or of an answer.

    \b
    Example:
      matterlog topics check --bootstrap-servers kafka:9092
    """
    topics = settings.topics()
    try:
        admin = TopicAdmin(settings.broker(), settings.kafka, settings.broker_timeout_seconds)
        asked = None if admin.is_embedded else admin.settings(topics)
    except ConsumerError as error:
        _tell_not_checked((with_shortage(error),))
        raise typer.Exit(_NOT_CHECKED) from error
    found = [_EMBEDDED] if asked is None else findings(topics, asked, settings.deadline())
    not_asked = () if asked is None else asked.not_asked
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    elif found:
        print_table(("where", "setting", "value", "effect on a purge"), map(astuple, found))
    elif not not_asked:
        typer.echo("Purged records will leave the topics before the deadline.")
    _tell_not_checked(not_asked)
    if found or not_asked:
        raise typer.Exit(_FOUND if found else _NOT_CHECKED)


def _tell_not_checked(reasons: Sequence[str]) -> None:
    for reason in reasons:
        typer.echo(f"NOT CHECKED  {reason}", err=True)


_EMBEDDED: Final = Finding("the embedded broker", "-", "-", "compacts nothing and loses everything when it ends")
