"""``matterlog accounts``: who may sign in to the admin site, and the record of what they did."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from matterlog.app.commands.options import Config, Database, files_of, settings_of
from matterlog.app.errors import WrongUse
from matterlog.report.web.identity.accounts import Accounts, Role
from matterlog.report.web.identity.audit_log import Actor, AuditLog, End
from matterlog.report.web.identity.passwords import Passwords, generate_password
from matterlog.report.web.identity.site_database import SiteDatabase

app = typer.Typer(
    help="Who may sign in to the admin site, and the record of acts.", no_args_is_help=True, rich_markup_mode=None
)
audit_log_commands = typer.Typer(help="The record of acts.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(audit_log_commands, name="record")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What its owner signs in with.")]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password, and print it.")]
_NOBODY = Actor()


@app.command("add")
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.ANALYST,
    generate: Generate = False,
    at_provider: Annotated[
        bool, typer.Option("--at-provider", help="Without a password: its owner signs in with OpenID Connect.")
    ] = False,
    database: Database = None,
    config: Config = None,
) -> None:
    """Make an account. Its password is asked for, or read from standard input where that is no terminal.

    A password that was generated has to be changed at the first sign-in.

    \b
    Example:
      matterlog accounts add a.silva --role administrator
    """
    accounts, _ = _accounts(database, config)
    password = None if at_provider else _password(generate=generate)
    account = accounts.add(name, role, password, _NOBODY, chosen_by_owner=not generate)
    typer.echo(f"Account {account.name}, {account.role}")
    if generate and password:
        typer.echo(f"Password {password}")


@app.command("list")
def list_accounts(database: Database = None, config: Config = None) -> None:
    """List the accounts.

    \b
    Example:
      matterlog accounts list
    """
    accounts, _ = _accounts(database, config)
    table = Table("account", "role", "second factor", "state", "since")
    for account in accounts.all():
        state = "disabled" if account.is_disabled else "first password" if account.must_change_password else ""
        factor = "yes" if account.totp_secret else "no"
        table.add_row(escape(account.name), account.role, factor, state, account.created_at)
    Console().print(table)


@app.command("disable")
def disable(name: Name, database: Database = None, config: Config = None) -> None:
    """End an account's sessions and API tokens at once, and let nobody sign in with it.

    \b
    Example:
      matterlog accounts disable a.silva
    """
    accounts, _ = _accounts(database, config)
    accounts.disable(accounts.named(name), _NOBODY)
    typer.echo("Disabled. `matterlog accounts enable` lets its owner in again")


@app.command("enable")
def enable(name: Name, database: Database = None, config: Config = None) -> None:
    """Let the owner of a disabled account sign in again.

    \b
    Example:
      matterlog accounts enable a.silva
    """
    accounts, _ = _accounts(database, config)
    accounts.enable(accounts.named(name), _NOBODY)
    typer.echo("Enabled")


@app.command("reset")
def reset(name: Name, generate: Generate = False, database: Database = None, config: Config = None) -> None:
    """Give an account a new password, and take its second factor, sessions and API tokens away.

    The password is asked for, or read from standard input where that is no terminal; its owner has to change it.

    \b
    Example:
      matterlog accounts reset a.silva --generate
    """
    accounts, _ = _accounts(database, config)
    account = accounts.named(name)
    password = accounts.reset(account, _password(generate=generate), _NOBODY)
    typer.echo(f"Password {password}" if generate else "Reset")


@audit_log_commands.command("verify")
def verify(
    known_end: Annotated[
        str | None, typer.Option("--known-end", metavar="NUMBER:HASH", help="An end that was kept elsewhere.")
    ] = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Find out whether an entry of the record of acts was changed, removed or reordered, and print its end.

    Keep the end elsewhere and give it to the next check: it finds a record that was written anew.

    \b
    Example:
      matterlog accounts record verify
    """
    _, audit_log = _accounts(database, config)
    end = audit_log.verify(_end(known_end))
    typer.echo(f"{end.number:,} entries, whole and unchanged. End {end}")


@audit_log_commands.command("export")
def export(database: Database = None, config: Config = None) -> None:
    """Write the record of acts to standard output, as CSV.

    \b
    Example:
      matterlog accounts record export > record-of-acts.csv
    """
    _, audit_log = _accounts(database, config)
    for lines in audit_log.as_csv():
        sys.stdout.buffer.write(lines)


def _accounts(database: Path | None, config: Path | None) -> tuple[Accounts, AuditLog]:
    settings = settings_of(config, database=database)
    site = SiteDatabase(files_of(settings).accounts)
    audit_log = AuditLog(site)
    return Accounts(site, audit_log, Passwords()), audit_log


def _password(*, generate: bool) -> str:
    """Never a flag: those stand in the list of processes and in the shell's history."""
    if generate:
        return generate_password()
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise WrongUse("no password came on standard input; --generate makes one")
    return password


def _end(text: str | None) -> End | None:
    if text is None:
        return None
    number, _, digest = text.partition(":")
    if not number.isdecimal() or not digest:
        raise WrongUse(f"{text!r} is no end: write NUMBER:HASH, as `matterlog accounts record verify` prints it")
    return End(int(number), digest)
