"""``matterlog accounts``: the accounts and the audit log of the admin site."""

import os
import sys
from typing import Annotated

import typer

from matterlog.app.commands.options import files_of, with_settings
from matterlog.app.errors import WrongUse
from matterlog.app.settings import Settings
from matterlog.app.terminal.tables import print_table
from matterlog.report.web.identity.accounts import Accounts, Role
from matterlog.report.web.identity.audit_log import Actor, AuditLog, End
from matterlog.report.web.identity.passwords import Passwords, generate_password
from matterlog.report.web.identity.site_database import SiteDatabase

app = typer.Typer(
    help="Manage the accounts and the audit log of the admin site.", no_args_is_help=True, rich_markup_mode=None
)
audit_log_commands = typer.Typer(help="Verify or export the audit log.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(audit_log_commands, name="record")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The account's name, which its owner signs in with.")]
Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="Issuer and subject, as the sign-in page shows them.")]
Generate = Annotated[bool, typer.Option("--generate", help="Generate a password and print it.")]
_USER = Actor(address=f"command line, user {os.getuid()}")


@app.command("add")
@with_settings("database")
def add(
    settings: Settings,
    name: Name,
    role: Annotated[Role, typer.Option(help="What the account may do.")] = Role.ANALYST,
    generate: Generate = False,
    at_provider: Annotated[
        bool, typer.Option("--at-provider", help="Set no password: its owner signs in with OpenID Connect.")
    ] = False,
) -> None:
    """Create an account.

    Asks for the password, or reads it from standard input if that is not a terminal. A generated password must be
    changed at the first sign-in.

    \b
    Example:
      matterlog accounts add a.silva --role administrator
    """
    accounts, _ = _accounts(settings)
    password = None if at_provider else _password(generate=generate)
    account = accounts.add(name, role, password, _USER, chosen_by_owner=not generate)
    typer.echo(f"Account {account.name}, {account.role}")
    if generate and password:
        typer.echo(f"Password {password}")


@app.command("list")
@with_settings("database")
def list_accounts(settings: Settings) -> None:
    """List the accounts.

    \b
    Example:
      matterlog accounts list
    """
    accounts, _ = _accounts(settings)
    rows = []
    for account in accounts.all():
        state = "disabled" if account.is_disabled else "first password" if account.must_change_password else ""
        rows.append((account.name, account.role, "yes" if account.totp_secret else "no", state, account.created_at))
    print_table(("account", "role", "second factor", "state", "since"), rows)


@app.command("disable")
@with_settings("database")
def disable(settings: Settings, name: Name) -> None:
    """Disable an account, and end its sessions and API tokens.

    \b
    Example:
      matterlog accounts disable a.silva
    """
    accounts, _ = _accounts(settings)
    accounts.disable(accounts.named(name), _USER)
    typer.echo("Disabled. To let its owner sign in again, run `matterlog accounts enable`")


@app.command("enable")
@with_settings("database")
def enable(settings: Settings, name: Name) -> None:
    """Let the owner of a disabled account sign in again.

    \b
    Example:
      matterlog accounts enable a.silva
    """
    accounts, _ = _accounts(settings)
    accounts.enable(accounts.named(name), _USER)
    typer.echo("Enabled")


@app.command("reset")
@with_settings("database")
def reset(settings: Settings, name: Name, generate: Generate = False) -> None:
    """Set a new password and remove the second factor.

    Also ends sessions and API tokens. Asks for the password, or reads it from standard input if that is not a terminal.
    The owner must change it at the next sign-in.

    \b
    Example:
      matterlog accounts reset a.silva --generate
    """
    accounts, _ = _accounts(settings)
    account = accounts.named(name)
    password = accounts.reset(account, _password(generate=generate), _USER)
    typer.echo(f"Password {password}" if generate else "Reset")


@app.command("bind")
@with_settings("database")
def bind(settings: Settings, name: Name, subject: Subject) -> None:
    """Bind an account to a person at the identity provider.

    \b
    Example:
      matterlog accounts bind a.silva "https://login.example 248289761001"
    """
    accounts, _ = _accounts(settings)
    accounts.bind(accounts.named(name), subject, _USER)
    typer.echo("Bound")


@app.command("unbind")
@with_settings("database")
def unbind(settings: Settings, name: Name) -> None:
    """Unbind an account, and end its sessions and API tokens.

    \b
    Example:
      matterlog accounts unbind a.silva
    """
    accounts, _ = _accounts(settings)
    accounts.unbind(accounts.named(name), _USER)
    typer.echo("Unbound. The next person with the account's verified e-mail address is bound to it")


@audit_log_commands.command("verify")
@with_settings("database")
def verify(
    settings: Settings,
    known_end: Annotated[
        str | None, typer.Option("--known-end", metavar="NUMBER:HASH", help="An end that an earlier check printed.")
    ] = None,
) -> None:
    """Check that no audit log entry was changed or removed.

    Prints the end of the log. Keep it elsewhere and pass it to the next check, which then finds a replaced log too.

    \b
    Example:
      matterlog accounts record verify
    """
    _, audit_log = _accounts(settings)
    end = audit_log.verify(_end(known_end))
    typer.echo(f"{end.number:,} entries, complete and unchanged. End {end}")
    if known_end is None:
        typer.echo(
            "Not checked: whether later entries were cut off, or all were rewritten. That needs --known-end, with an "
            "end that was kept elsewhere, such as in the log of matterlog serve"
        )


@audit_log_commands.command("export")
@with_settings("database")
def export(settings: Settings) -> None:
    """Write the audit log to standard output as CSV.

    \b
    Example:
      matterlog accounts record export > audit-log.csv
    """
    _, audit_log = _accounts(settings)
    for lines in audit_log.as_csv():
        sys.stdout.buffer.write(lines)


def _accounts(settings: Settings) -> tuple[Accounts, AuditLog]:
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
