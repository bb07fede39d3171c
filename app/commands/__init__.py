"""The commands of ``matterlog``, one module each; this module assembles them.

A command's module is imported only when the command is needed: importing all of them takes half a second.
"""

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

# Name of a command or group -> its module, and the attribute there.
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
    "lake": ("lake", "app"),
    "dead-letters": ("dead_letters", "app"),
    "accounts": ("accounts", "app"),
    "purges": ("purges", "app"),
    "series": ("series", "app"),
}
# Former name of a command -> its name now. A former name is accepted with a warning.
_FORMER_NAMES: Final = {"snapshot": "backup"}


class _Commands(TyperGroup):
    """The group of all commands in _MODULES, each loaded when it is first needed."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the group's signature
        return list(_MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _MODULES and cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if (name := _FORMER_NAMES.get(args[0])) is not None:
            typer.echo(f"`matterlog {args[0]}` is now called `matterlog {name}`", err=True)
            args = [name, *args[1:]]
        return super().resolve_command(ctx, args)


def _load(name: str) -> Any:
    module, attribute = _MODULES[name]
    found = getattr(import_module(f".{module}", __name__), attribute)
    wrapper = typer.Typer(callback=_root, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        wrapper.add_typer(found, name=name)
    else:
        wrapper.command(name)(found)
    return typer.main.get_group(wrapper).commands[name]


def _root() -> None:
    """Keep the activity log of a legal-transaction platform: from Kafka to DuckDB to reports."""


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
