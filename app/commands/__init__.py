"""The commands of ``matterlog``, one module each; this one puts them together.

A command's module is imported when the command is asked for: all of them together are half a second of work.
"""

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

# Where each command or group of commands stands: its module, and its name there.
_MODULES: Final = {
    "serve": ("serve", "serve"),
    "consume": ("consume", "consume"),
    "export": ("export", "export"),
    "verify-extract": ("verify_extract", "verify"),
    "diff": ("diff", "diff"),
    "engagement": ("engagement", "engagement"),
    "plot": ("plot", "plot"),
    "backup": ("backups", "backup"),
    "restore": ("backups", "restore"),
    "rebuild": ("backups", "rebuild"),
    "reread": ("reread", "reread"),
    "status": ("status", "status"),
    "erase": ("erase", "erase"),
    "verify-purge": ("verify_purge", "verify_purge"),
    "settings": ("settings", "show_settings"),
    "broker": ("broker", "broker"),
    "demo": ("demo", "demo"),
    "emit": ("emit", "app"),
    "topics": ("topics", "app"),
    "dead-letters": ("dead_letters", "app"),
    "accounts": ("accounts", "app"),
    "purges": ("purges", "app"),
    "series": ("series", "app"),
}
# Commands under the name that they had before, accepted with a warning: that name, and the one of today.
_FORMER_NAMES: Final = {"snapshot": "backup"}


class _Commands(TyperGroup):
    """What stands in _MODULES, each made when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the group's signature
        return list(_MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _MODULES and cmd_name not in self.commands:
            self.commands[cmd_name] = _made(cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if (name := _FORMER_NAMES.get(args[0])) is not None:
            typer.echo(f"matterlog {args[0]} is called matterlog {name} now", err=True)
            args = [name, *args[1:]]
        return super().resolve_command(ctx, args)


def _made(name: str) -> Any:
    module, attribute = _MODULES[name]
    found = getattr(import_module(f".{module}", __name__), attribute)
    around = typer.Typer(callback=_root, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name)
    else:
        around.command(name)(found)
    return typer.main.get_group(around).commands[name]


def _root() -> None:
    """The activity log of a legal-transaction platform: matter views from Kafka to DuckDB to reports."""


app = typer.Typer(
    name="matterlog",
    cls=_Commands,
    callback=_root,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def run() -> None:
    """Run the command that the process's arguments name."""
    app(standalone_mode=True)
