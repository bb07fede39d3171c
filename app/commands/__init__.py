"""The commands of ``matterlog``, one module each; this module assembles them.

A command's module is imported only when the command is needed: importing all of them takes half a second.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

# In the order of the help. A module is named like its command; in it is a function of that name, or a group called app.
_NAMES: Final = (
    *("serve", "consume", "export", "verify-extract", "diff", "engagement", "plot", "backup", "restore", "rebuild"),
    *("reread", "status", "erase", "verify-purge", "settings", "broker", "demo", "emit", "topics", "lake"),
    *("dead-letters", "accounts", "purges", "series"),
)
# Of those that share a module.
_MODULES: Final = dict.fromkeys(("backup", "restore", "rebuild"), "backups")
# Former name of a command -> its name now. A former name is accepted with a warning.
_FORMER_NAMES: Final = {"snapshot": "backup"}


class _Commands(TyperGroup):
    """The group of all commands in _NAMES, each loaded when it is first needed."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the group's signature
        return list(_NAMES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _NAMES and cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if (name := _FORMER_NAMES.get(args[0])) is not None:
            typer.echo(f"`matterlog {args[0]}` is now called `matterlog {name}`", err=True)
            args = [name, *args[1:]]
        if args[0] not in _NAMES:  # a suggestion needs all of them
            self.commands.update({name: _load(name) for name in _NAMES})
        return super().resolve_command(ctx, args)


def _load(name: str) -> Any:
    function = name.replace("-", "_")
    module = import_module(f".{_MODULES.get(name, function)}", __name__)
    found = getattr(module, "app", None) or getattr(module, function)
    wrapper = typer.Typer(callback=_root, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        wrapper.add_typer(found, name=name)
    else:
        wrapper.command(name)(found)
    return typer.main.get_group(wrapper).commands[name]


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"matterlog {version('matterlog')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Keep the activity log of a legal-transaction platform: from Kafka to DuckDB to reports."""


app = typer.Typer(
    name="matterlog",
    cls=_Commands,
    callback=_root,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def run() -> None:
    """Run the command that the process's arguments name."""
    app(standalone_mode=True)
