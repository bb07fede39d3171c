"""``matterlog topics``: make both topics."""

from typing import Annotated

import typer

from matterlog.app.topics_admin import TopicAdmin
from matterlog.schemas import Topics
from matterlog.schemas.topics import DEFAULT_PARTITIONS

from .options import BootstrapServers, Config, TopicPrefix, settings_of

app = typer.Typer(help="Make the topics.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def topics() -> None:
    """Make the topics."""


@app.command("create")
def create(
    partitions: Annotated[int, typer.Option(min=1, max=10_000, help="Partitions of each topic.")] = DEFAULT_PARTITIONS,
    replication_factor: Annotated[int, typer.Option(min=1, max=100, help="Copies of each partition.")] = 1,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Make matter-views and matter-deletions, compacted as purges and rebuilds need them.

    A topic that exists already is left as it is. With three copies or more, two must be written before a message
    counts as stored.

    \b
    Example:
      matterlog topics create --partitions 12 --replication-factor 3 --bootstrap-servers kafka:9092
    """
    settings = settings_of(config, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    admin = TopicAdmin(settings.broker(), settings.kafka)
    made = admin.create(Topics(settings.topic_prefix), partitions, replication_factor)
    for name, is_new in made.items():
        typer.echo(f"{name}: {'made' if is_new else 'exists already, left as it is'}")
    if admin.is_embedded:
        typer.echo("This is the embedded broker: four partitions a topic, nothing compacted, nothing kept.", err=True)
