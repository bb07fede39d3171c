"""``matterlog accounts``: the accounts and the audit log of the admin site."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from matterlog.app.commands.options import Config, Database, files_of, settings_of
from matterlog.app.errors import WrongUse
from matterlog.app.owner.users import user_of_this_process
from matterlog.report.web.identity.accounts import Accounts, Role
from matterlog.report.web.identity.audit_log import Act, Actor, AuditLog, End
from matterlog.report.web.identity.passwords import Passwords, generate_password
from matterlog.report.web.identity.site_database import SiteDatabase

app = typer.Typer(
    help="Manage the accounts and the audit log of the admin site.", no_args_is_help=True, rich_markup_mode=None
)
audit_log_commands = typer.Typer(help="Verify or export the audit log.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(audit_log_commands, name="record")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The account's name, which its owner signs in with.")]
Generate = Annotated[bool, typer.Option("--generate", help="Generate a password and print it.")]


def _by() -> Actor:
    return Actor(system_user=user_of_this_process())


@app.command("add")
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What the account may do.")] = Role.ANALYST,
    generate: Generate = False,
    at_provider: Annotated[
        bool, typer.Option("--at-provider", help="Set no password: its owner signs in with OpenID Connect.")
    ] = False,
    database: Database = None,
    config: Config = None,
) -> None:
    """Create an account.

    Asks for the password, or reads it from standard input if that is not a terminal. A generated password must be
    changed at the first sign-in.

    \b
    Example:
      matterlog accounts add a.silva --role administrator
    """
    accounts, _ = _accounts(database, config)
    password = None if at_provider else _password(generate=generate)
    account = accounts.add(name, role, password, _by(), chosen_by_owner=not generate)
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
    """Disable an account, and end its sessions and API tokens.

    \b
    Example:
      matterlog accounts disable a.silva
    """
    accounts, _ = _accounts(database, config)
    accounts.disable(accounts.named(name), _by())
    typer.echo("Disabled. To let its owner sign in again, run `matterlog accounts enable`")


@app.command("enable")
def enable(name: Name, database: Database = None, config: Config = None) -> None:
    """Let the owner of a disabled account sign in again.

    \b
    Example:
      matterlog accounts enable a.silva
    """
    accounts, _ = _accounts(database, config)
    accounts.enable(accounts.named(name), _by())
    typer.echo("Enabled")


@app.command("reset")
def reset(name: Name, generate: Generate = False, database: Database = None, config: Config = None) -> None:
    """Set a new password and remove the second factor.

    Also ends sessions and API tokens. Asks for the password, or reads it from standard input if that is not a terminal.
    The owner must change it at the next sign-in.

    \b
    Example:
      matterlog accounts reset a.silva --generate
    """
    accounts, _ = _accounts(database, config)
    account = accounts.named(name)
    password = accounts.reset(account, _password(generate=generate), _by())
    typer.echo(f"Password {password}" if generate else "Reset")


@audit_log_commands.command("verify")
def verify(
    known_end: Annotated[
        str | None, typer.Option("--known-end", metavar="NUMBER:HASH", help="An end that an earlier check printed.")
    ] = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Check that no audit log entry was changed or removed.

    Prints the end of the log. Keep it elsewhere and pass it to the next check, which then finds a replaced log too.

    \b
    Example:
      matterlog accounts record verify
    """
    _, audit_log = _accounts(database, config)
    end = audit_log.verify(_end(known_end))
    typer.echo(f"{end.number:,} entries, complete and unchanged. End {end}")


@audit_log_commands.command("export")
def export(database: Database = None, config: Config = None) -> None:
    """Write the audit log to standard output as CSV.

    \b
    Example:
      matterlog accounts record export > audit-log.csv
    """
    _, audit_log = _accounts(database, config)
    try:
        for lines in audit_log.as_csv():
            sys.stdout.buffer.write(lines)
    finally:
        audit_log.add(Act.ACCOUNTS_RECORD_DOWNLOADED_CSV, _by())


def _accounts(database: Path | None, config: Path | None) -> tuple[Accounts, AuditLog]:
    settings = settings_of(config, database=database)
    site = SiteDatabase(files_of(settings).accounts)
    audit_log = AuditLog(site)
    return Accounts(site, audit_log, Passwords()), audit_log


def _password(*, generate: bool) -> str:
    """Read the password, never from a flag: flags show in the process list and the shell's history."""
    if generate:
        return generate_password()
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise WrongUse("standard input holds no password. Give one, or use --generate")
    return password


def _end(text: str | None) -> End | None:
    if text is None:
        return None
    number, _, digest = text.partition(":")
    if not number.isdecimal() or not digest:
        raise WrongUse(f"{text!r} is not an end: give NUMBER:HASH, as `matterlog accounts record verify` prints it")
    return End(int(number), digest)
