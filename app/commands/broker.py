"""``matterlog broker``: the embedded broker, for trying things out."""

import typer

from matterlog.app.commands.options import with_settings
from matterlog.app.demo.embedded_broker import embedded_broker
from matterlog.app.settings import Settings
from matterlog.app.terminal.stop_signals import stop_event


@with_settings("topic_prefix")
def broker(settings: Settings) -> None:
    """Run a Kafka in memory, for trying things out.

    Both topics exist from the start. Never use it for real work: it holds only the newest 5 MB of each partition, and
    loses everything when it ends.

    \b
    Example:
      matterlog broker                      # prints bootstrap.servers=127.0.0.1:PORT
      matterlog emit views old-extract.csv --bootstrap-servers 127.0.0.1:PORT
    """
    stop = stop_event()
    with embedded_broker(settings.topics()) as address:
        typer.echo(f"bootstrap.servers={address}")
        typer.echo("This Kafka runs in memory and loses everything when it ends. Stop it with Ctrl-C.", err=True)
        stop.wait()
