"""``matterlog topics``: creates both topics, and checks what a purge needs of them."""

import json
from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from matterlog.app.commands.options import BootstrapServers, Config, TopicPrefix, settings_of
from matterlog.app.topics.topics_admin import TopicAdmin
from matterlog.app.topics.topics_check import Finding, findings
from matterlog.schemas.topics import DEFAULT_PARTITIONS

app = typer.Typer(help="Create and check the topics.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def topics() -> None:
    """Create and check the topics."""


@app.command("create")
def create(
    partitions: Annotated[int, typer.Option(min=1, max=10_000, help="Partitions of each topic.")] = DEFAULT_PARTITIONS,
    replication_factor: Annotated[int, typer.Option(min=1, max=100, help="Copies of each partition.")] = 1,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Create the topics matter-views and matter-deletions.

    They get the settings that purges and rebuilds need. An existing topic is left unchanged: check it with `matterlog
    topics check`. With three or more copies, two must be written before a message counts as stored.

    \b
    Example:
      matterlog topics create --partitions 12 --replication-factor 3 --bootstrap-servers kafka:9092
    """
    settings = settings_of(config, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    admin = TopicAdmin(settings.broker(), settings.kafka, settings.broker_timeout_seconds)
    made = admin.create(settings.topics(), partitions, replication_factor)
    for name, is_new in made.items():
        typer.echo(f"{name}: {'created' if is_new else 'exists already, left unchanged'}")
    if admin.is_embedded:
        typer.echo("The embedded broker has four partitions per topic and compacts nothing.", err=True)


@app.command("check")
def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Check that purged records will leave the topics in time.

    Lists the settings of topics and brokers that would keep a purged record past the deadline. Exit code 1: there are
    some. The Kafka user needs the right to describe the configuration of both topics and of the cluster. Whether it
    may write tombstones is checked too.

    \b
    Example:
      matterlog topics check --bootstrap-servers kafka:9092
    """
    settings = settings_of(config, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    topics = settings.topics()
    admin = TopicAdmin(settings.broker(), settings.kafka, settings.broker_timeout_seconds)
    found = [_EMBEDDED] if admin.is_embedded else findings(topics, admin.settings(topics), settings.deadline())
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    elif found:
        _print(found)
    else:
        typer.echo("Purged records will leave the topics before the deadline.")
    raise typer.Exit(bool(found))


_EMBEDDED: Final = Finding("the embedded broker", "-", "-", "compacts nothing and loses everything when it ends")


def _print(found: list[Finding]) -> None:
    table = Table("where", "setting", "value", "effect on a purge")
    for finding in found:
        table.add_row(finding.where, finding.setting, finding.value, finding.effect)
    Console().print(table)
