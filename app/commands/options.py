"""The options that several commands share, and the settings made from them."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import typer

from matterlog.app.errors import WrongUse
from matterlog.app.owner.spill import spill_folder
from matterlog.app.settings import FORMER_NAMES, Settings, SettingsReader
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.lake import Lake

AcceptGaps = Annotated[
    bool, typer.Option("--accept-gaps", help="Note which records expired unread, and continue after them.")
]
# What the value of a setting's flag is called, where its type does not say it.
_METAVARS: Final[Mapping[str, str]] = {
    "bootstrap_servers": "HOST:PORT",
    "lake_catalogue": "URL",
    "lake_data": "PLACE",
    "erase_within": "TIME",
    "trusted_proxy": "ADDRESS",
}
# A function that typer makes a command of.
Command = Callable[..., None]


def with_value(
    parameter: str, make: Callable[..., Any], options: Sequence[Parameter], *, last: bool = False
) -> Callable[[Command], Command]:
    """Give a command a value that ``make`` makes of options, which stand in the parameter's place, or ``last``."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(**given: Any) -> None:
            value = make(**{each.name: given.pop(each.name) for each in options})
            command(**given, **{parameter: value})

        own = dict(signature(command).parameters)
        if last:
            own[parameter] = own.pop(parameter)
        shown = [each for name, one in own.items() for each in (options if name == parameter else (one,))]
        keywords = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in shown]
        run.__signature__ = Signature(keywords)  # type: ignore[attr-defined]  # what typer reads
        return run

    return decorate


def with_settings(*names: str) -> Callable[[Command], Command]:
    """Give a command its ``settings``: of flags with these names, the environment, and the file of ``--config``."""
    return with_value("settings", lambda **flags: reader_of(**flags).settings(), flags_of(*names), last=True)


def flags_of(*names: str) -> list[Parameter]:
    """Return the flags with these names, and ``--config``."""
    config = typer.Option(
        None, metavar="FILE", help="Settings file; MATTERLOG_NAME sets a setting too. [matterlog.toml]"
    )
    return [*map(_flag_of, names), Parameter("config", Parameter.KEYWORD_ONLY, default=config, annotation=Path | None)]


def _flag_of(name: str) -> Parameter:
    """Return the flag of a setting, with its description and its default."""
    field = Settings.model_fields[FORMER_NAMES.get(name, name)]
    kinds = {field.annotation, *get_args(field.annotation)}
    kind = next((each for each in (bool, int, float, Path) if each in kinds), str)
    meaning = (field.description or "").removeprefix("true to ")
    option = typer.Option(
        None,
        f"--{name.replace('_', '-')}",
        metavar=_METAVARS.get(name, "FILE" if kind is Path else None),
        help=f"{meaning[:1].upper()}{meaning[1:]}." + (f" [{field.default}]" if field.default else ""),
        hidden=name in FORMER_NAMES,
    )
    return Parameter(name, Parameter.KEYWORD_ONLY, default=option, annotation=kind | None)


def reader_of(config: Path | None, **flags: Any) -> SettingsReader:
    """Return the settings of a command: its flags, then the environment, then the file."""
    return SettingsReader(flags, os.environ, config)


def files_of(settings: Settings) -> DatabaseFiles:
    """Return the files of the database that the settings name.

    Raises:
        WrongUse: they name a lake.
    """
    if settings.lake_catalogue is not None:
        raise WrongUse("this command is for a database file, and the settings name a lake (lake_catalogue)")
    return DatabaseFiles(settings.database.absolute(), settings.memory_limit)


def log_of(settings: Settings) -> DatabaseFiles | Lake:
    """Return where the settings say that the log is: in a database file, or on a lake; raises as ``lake_of``."""
    return files_of(settings) if settings.lake_catalogue is None else lake_of(settings)


def lake_of(settings: Settings) -> Lake:
    """Return the lake that the settings name.

    Raises:
        WrongUse: they name none, only half of one, or no URL.
    """
    if settings.lake_catalogue is None or settings.lake_data is None:
        raise WrongUse(
            "a lake needs both: give --lake-catalogue postgresql://HOST/NAME and --lake-data s3://BUCKET/PREFIX"
        )
    try:
        return Lake(
            catalogue=settings.lake_catalogue,
            data=settings.lake_data if "://" in settings.lake_data else f"{Path(settings.lake_data).absolute()}/",
            spill=spill_folder(),
            encrypted=settings.lake_encrypted,
            memory_limit=settings.memory_limit,
        )
    except ValueError:  # its text may hold a password
        raise WrongUse("setting lake_catalogue is not a URL: give postgresql://HOST/NAME") from None
