"""The commands of ``matterlog``, one module each; this one puts them together."""

from collections.abc import Callable
from typing import Any

import typer

from . import (
    accounts,
    broker,
    consume,
    dead_letters,
    demo,
    diff,
    emit,
    engagement,
    erase,
    export,
    plot,
    purges,
    series,
    serve,
    settings,
    snapshots,
    status,
    topics,
    verify_extract,
    verify_purge,
)

app = typer.Typer(
    name="matterlog",
    help="The activity log of a legal-transaction platform: matter views from Kafka to DuckDB to reports.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_COMMANDS: dict[str, Callable[..., Any]] = {
    "serve": serve.serve,
    "consume": consume.consume,
    "export": export.export,
    "verify-extract": verify_extract.verify,
    "diff": diff.diff,
    "engagement": engagement.engagement,
    "plot": plot.plot,
    "snapshot": snapshots.snapshot,
    "restore": snapshots.restore,
    "rebuild": snapshots.rebuild,
    "status": status.status,
    "erase": erase.erase,
    "verify-purge": verify_purge.verify_purge,
    "settings": settings.show_settings,
    "broker": broker.broker,
    "demo": demo.demo,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)
_GROUPS: dict[str, typer.Typer] = {
    "emit": emit.app,
    "topics": topics.app,
    "dead-letters": dead_letters.app,
    "accounts": accounts.app,
    "purges": purges.app,
    "series": series.app,
}
for _name, _group in _GROUPS.items():
    app.add_typer(_group, name=_name)


def run() -> None:
    """Run the command that the process's arguments name."""
    app(standalone_mode=True)
