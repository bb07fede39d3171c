"""``matterlog broker``: a Kafka in memory, for trying things out."""

import typer

from matterlog.app.commands.options import Config, TopicPrefix, settings_of
from matterlog.app.demo.embedded_broker import embedded_broker
from matterlog.app.terminal.stop_signals import stop_event


def broker(topic_prefix: TopicPrefix = None, config: Config = None) -> None:
    """Run a Kafka in memory until stopped; it keeps nothing.

    Both topics are there from the start. For trying things out, never for work: it holds the newest 5 MB of a
    partition, and forgets everything when it ends.

    \b
    Example:
      matterlog broker                      # prints bootstrap.servers=127.0.0.1:PORT
      matterlog emit views old-extract.csv --bootstrap-servers 127.0.0.1:PORT
    """
    topics = settings_of(config, topic_prefix=topic_prefix).topics()
    stop = stop_event()
    with embedded_broker(topics) as address:
        typer.echo(f"bootstrap.servers={address}")
        typer.echo("A Kafka in memory: it keeps nothing. Stop it with Ctrl-C.", err=True)
        stop.wait()
