"""``matterlog serve``: the consumer, the socket and the admin site in one process."""

import os
from pathlib import Path
from typing import Annotated

import typer

from matterlog.app.commands.options import BootstrapServers, Config, Database, TopicPrefix, files_of, settings_of
from matterlog.app.terminal.memory_shortage import warn_of_small_limit
from matterlog.app.terminal.stop_signals import stop_event


def serve(
    host: Annotated[str | None, typer.Option(help="The address that the site listens on. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 for a free one. [8080]")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="The certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key, PEM.")] = None,
    insecure_bind: Annotated[
        bool,
        typer.Option("--insecure-bind", help="Listen beyond this machine without TLS, behind a proxy."),
    ] = False,
    trusted_proxy: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The one proxy whose X-Forwarded headers hold.")
    ] = None,
    no_consumer: Annotated[
        bool, typer.Option("--no-consumer", help="Show what the log holds, and read nothing from Kafka.")
    ] = False,
    max_dead_letters: Annotated[
        float | None,
        typer.Option(help="Share of a batch, 0 to 1, that may be dead letters; above it, stop consuming. [0.5]"),
    ] = None,
    accept_gaps: Annotated[
        bool, typer.Option("--accept-gaps", help="Record what expired from the topics unread, and go on behind it.")
    ] = False,
    bootstrap_servers: BootstrapServers = None,
    database: Database = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Keep the database what the topics say, and answer the admin site on it, until stopped by Ctrl-C or SIGTERM.

    Make an account first: matterlog accounts add NAME --role administrator.

    \b
    Example:
      matterlog serve --bootstrap-servers kafka:9092 --database /var/lib/matterlog/log.duckdb
    """
    settings = settings_of(
        config,
        host=host,
        port=port,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        insecure_bind=insecure_bind or None,
        trusted_proxy=trusted_proxy,
        max_dead_letters=max_dead_letters,
        bootstrap_servers=bootstrap_servers,
        database=database,
        topic_prefix=topic_prefix,
    )
    from matterlog.app.service.service import serve as run_service  # noqa: PLC0415 - no other command waits for a web server

    stop = stop_event()
    os.umask(0o077)  # what is written beside the database is personal data
    warn_of_small_limit()
    run_service(settings, files_of(settings), stop, accept_gaps=accept_gaps, consumes=not no_consumer)
