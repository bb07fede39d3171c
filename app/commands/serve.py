"""``matterlog serve``: runs the consumer, the owner's socket and the admin site in one process."""

import os
from typing import Annotated

import typer

from matterlog.app.commands.options import AcceptGaps, files_of, with_settings
from matterlog.app.settings import Settings
from matterlog.app.terminal.memory_shortage import check_address_limit
from matterlog.app.terminal.stop_signals import stop_event


@with_settings(
    *("host", "port", "tls_certificate", "tls_key", "insecure_bind", "trusted_proxy"),
    *("max_dead_letters", "bootstrap_servers", "database", "topic_prefix"),
)
def serve(
    settings: Settings,
    no_consumer: Annotated[
        bool, typer.Option("--no-consumer", help="Serve the log without reading from Kafka.")
    ] = False,
    accept_gaps: AcceptGaps = False,
) -> None:
    """Read the topics into the database and run the admin site.

    Runs until stopped by Ctrl-C or SIGTERM. Create an account first: matterlog accounts add NAME --role administrator.

    \b
    Example:
      matterlog serve --bootstrap-servers kafka:9092 --database /var/lib/matterlog/log.duckdb
    """
    from matterlog.app.service.service import serve as run_service  # noqa: PLC0415 - no other command waits for a web server

    stop = stop_event()
    os.umask(0o077)  # what is written beside the database is personal data
    check_address_limit()
    run_service(settings, files_of(settings), stop, accept_gaps=accept_gaps, consumes=not no_consumer)
