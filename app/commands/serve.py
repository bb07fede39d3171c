"""``matterlog serve``: runs the consumer, the owner's socket and the admin site in one process."""

import os
from pathlib import Path
from typing import Annotated

import typer

from matterlog.app.commands.options import BootstrapServers, Config, Database, TopicPrefix, files_of, settings_of
from matterlog.app.terminal.memory_shortage import check_address_limit
from matterlog.app.terminal.stop_signals import stop_event


def serve(
    host: Annotated[str | None, typer.Option(help="Address that the site listens on. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the site; 0 picks a free one. [8080]")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate chain, a PEM file.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Private key, a PEM file.")] = None,
    insecure_bind: Annotated[
        bool,
        typer.Option("--insecure-bind", help="Accept other machines without TLS, behind a proxy."),
    ] = False,
    trusted_proxy: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Proxy whose X-Forwarded-* headers are trusted.")
    ] = None,
    no_consumer: Annotated[
        bool, typer.Option("--no-consumer", help="Serve the log without reading from Kafka.")
    ] = False,
    max_dead_letters: Annotated[
        float | None,
        typer.Option(help="Stop a topic if more than this share of a batch, 0 to 1, is dead letters. [0.5]"),
    ] = None,
    accept_gaps: Annotated[
        bool, typer.Option("--accept-gaps", help="Note which records expired unread, and continue after them.")
    ] = False,
    bootstrap_servers: BootstrapServers = None,
    database: Database = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Read the topics into the database and run the admin site.

    Runs until stopped by Ctrl-C or SIGTERM. Create an account first: matterlog accounts add NAME --role administrator.

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
    check_address_limit()
    run_service(settings, files_of(settings), stop, accept_gaps=accept_gaps, consumes=not no_consumer)
