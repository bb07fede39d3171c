"""Accounts: who may sign in to the admin site, and with which role.

1. An *analyst* sees the reports; an *administrator* also runs the site: operations, accounts, the audit log.
2. Disabling, resetting or unbinding an account ends its sessions and removes its API tokens in the same transaction.
3. At least one administrator can always sign in.
4. Every change adds an entry to the audit log in the same transaction.
"""

import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from matterlog.report.errors import AccountRefused, SignInRefused
from matterlog.report.web.identity.audit_log import Act, Actor, AuditLog
from matterlog.report.web.identity.passwords import Passwords, check_password, generate_password
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas.instants import as_text
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "accounts.sql")
# A short name or an e-mail address: what an address has outside quotes (RFC 5321, RFC 6531).
_NAME: Final = re.compile(r'[^\s"(),:;<>\[\\\]]{2,100}')
_NO_SESSION: Final = b""
_PROOFS: Final = ("password_set_at", "must_change_password", "totp_secret", "provider_subject", "disabled_at")


class Role(StrEnum):
    """The role of an account: what it may do."""

    ANALYST = "analyst"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account. ``disabled_at``, ``created_at`` and ``password_set_at`` are instants in UTC, as text."""

    account_id: int
    name: str
    role: Role
    password_hash: str | None
    must_change_password: bool
    totp_secret: str | None
    totp_last_step: int
    provider_subject: str | None
    disabled_at: str | None
    created_at: str
    password_set_at: str | None

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """Make the account from its row."""
        values: dict[str, Any] = {name: row[name] for name in cls.__dataclass_fields__}
        values["role"] = Role(values["role"])
        # Version 0.2.0 set it for accounts without a password too.
        values["must_change_password"] = bool(values["must_change_password"] and values["password_hash"])
        return cls(**values)

    @property
    def is_administrator(self) -> bool:
        """Whether the account may run the site."""
        return self.role is Role.ADMINISTRATOR

    @property
    def is_disabled(self) -> bool:
        """Whether signing in is disabled."""
        return self.disabled_at is not None


def normal_name(name: str) -> str:
    """Return an account's name as it is stored: upper case and composed characters make no other account."""
    return unicodedata.normalize("NFC", name.strip().lower())


class Accounts:
    """The accounts in the site's database."""

    def __init__(self, database: SiteDatabase, audit_log: AuditLog, passwords: Passwords) -> None:
        self._database = database
        self._audit_log = audit_log
        self._passwords = passwords

    def add(self, name: str, role: Role, password: str | None, by: Actor, *, chosen_by_owner: bool = False) -> Account:
        """Add an account.

        Args:
            name: the name to sign in with, in upper or lower case.
            role: what the account may do.
            password: the first password; None for an account that signs in only with the identity provider.
            by: who adds the account.
            chosen_by_owner: only the owner knows the password, so it need not be changed at the first sign-in.

        Raises:
            AccountRefused: the name is not valid, or is taken.
            PasswordRefused: see ``check_password``.
        """
        name = normal_name(name)
        if not (_NAME.fullmatch(name) and name.isprintable()):
            raise AccountRefused(f"{name!r} is not a valid account name: 2 to 100 characters of an e-mail address")
        password_hash = None if password is None else self._checked_hash(password, name)
        with self._database.transaction() as connection:
            if _find(connection, name=name) is not None:
                raise AccountRefused(f"there is already an account {name}")
            values = {
                "name": name,
                "role": role.value,
                "password_hash": password_hash,
                "must_change_password": password is not None and not chosen_by_owner,
                "now": as_text(self._database.now()),
            }
            (account_id,) = connection.execute(SQL["add"], values).fetchone()
            self._audit_log.append(connection, Act.ACCOUNT_ADDED, by, {"account": name, "role": role.value})
            return _by_id(connection, account_id)

    def all(self) -> list[Account]:
        """Return all accounts, sorted by name."""
        return [Account.of(row) for row in self._database.rows(SQL["all"])]

    def find(self, name: str) -> Account | None:
        """Return an account by its name; None if there is none."""
        with self._database.reading() as connection:
            return _find(connection, name=normal_name(name))

    def by_id(self, account_id: int) -> Account:
        """Return an account by its number.

        Raises:
            AccountRefused: there is none.
        """
        with self._database.reading() as connection:
            return _by_id(connection, account_id)

    def named(self, name: str) -> Account:
        """Return an account by its name.

        Raises:
            AccountRefused: there is none.
        """
        account = self.find(name)
        if account is None:
            raise AccountRefused(f"there is no account {normal_name(name)}; `matterlog accounts list` lists them")
        return account

    def by_subject(self, subject: str) -> Account | None:
        """Return the account of a subject at the identity provider; None if there is none."""
        with self._database.reading() as connection:
            return _find(connection, subject=subject)

    def disable(self, account: Account, by: Actor) -> None:
        """Disable an account: end its sessions, remove its tokens, and refuse to sign in with it.

        Raises:
            AccountRefused: no administrator would be left.
        """
        with self._recorded(Act.ACCOUNT_DISABLED, account, by) as connection:
            _keep_an_administrator(connection, account)
            _shut_out(connection, account)
            values = {"account_id": account.account_id, "now": as_text(self._database.now())}
            connection.execute(SQL["disable"], values)

    def enable(self, account: Account, by: Actor) -> None:
        """Enable an account again."""
        with self._recorded(Act.ACCOUNT_ENABLED, account, by) as connection:
            connection.execute(SQL["enable"], {"account_id": account.account_id})

    def set_role(self, account: Account, role: Role, by: Actor) -> None:
        """Change an account's role, from its next request on.

        Raises:
            AccountRefused: no administrator would be left.
        """
        with self._recorded(Act.ACCOUNT_ROLE_CHANGED, account, by, role=role.value) as connection:
            if role is not Role.ADMINISTRATOR:
                _keep_an_administrator(connection, account)
            connection.execute(SQL["set_role"], {"account_id": account.account_id, "role": role.value})

    def reset(self, account: Account, password: str | None, by: Actor) -> str:
        """Give an account a new password that its owner must change, and remove its second factor.

        Args:
            account: the account to reset.
            password: the new password; None to generate one.
            by: who resets the account.

        Returns:
            The password.

        Raises:
            PasswordRefused: see ``check_password``.
        """
        password = password or generate_password()
        values = {
            "account_id": account.account_id,
            "password_hash": self._checked_hash(password, account.name),
            "must_change_password": True,
            "now": as_text(self._database.now()),
        }
        with self._recorded(Act.ACCOUNT_RESET, account, by) as connection:
            _shut_out(connection, account)
            connection.execute(SQL["set_password"], values)
            connection.execute(SQL["remove_second_factor"], {"account_id": account.account_id})
            connection.execute(SQL["remove_recovery_codes"], {"account_id": account.account_id})
        return password

    def change_password(
        self, account: Account, password: str, by: Actor, *, session_hash: bytes, end_tokens: bool
    ) -> Account:
        """Set the password that an account's owner chose, end its other sessions, and return the account as it is now.

        Args:
            account: the owner's account.
            password: the new password.
            by: the owner.
            session_hash: the session that stays.
            end_tokens: remove the account's API tokens too.

        Raises:
            PasswordRefused: see ``check_password``.
            SignInRefused: see ``check_unchanged``.
        """
        values = {
            "account_id": account.account_id,
            "password_hash": self._checked_hash(password, account.name),
            "must_change_password": False,
            "now": as_text(self._database.now()),
        }
        with self._database.transaction() as connection:
            check_unchanged(connection, account)
            connection.execute(SQL["set_password"], values)
            connection.execute(SQL["end_sessions"], {"account_id": account.account_id, "except_hash": session_hash})
            if end_tokens:
                connection.execute(SQL["remove_tokens"], {"account_id": account.account_id})
            self._audit_log.append(connection, Act.PASSWORD_CHANGED, by, {"tokens_ended": end_tokens})
            return _by_id(connection, account.account_id)

    def shut_out(self, account: Account, by: Actor) -> None:
        """End all sessions of an account and remove all its API tokens."""
        with self._recorded(Act.ACCOUNT_SHUT_OUT, account, by) as connection:
            _shut_out(connection, account)

    def refresh_hash(self, account: Account, password: str) -> None:
        """Hash a correct password again if its hash was made with outdated costs."""
        if account.password_hash is None or not self._passwords.is_outdated(account.password_hash):
            return
        new, old = self._passwords.hash(password), account.password_hash
        self._database.run(SQL["rehash_password"], account_id=account.account_id, old_hash=old, password_hash=new)

    def bind(self, account: Account, subject: str, by: Actor, act: Act = Act.PROVIDER_BOUND) -> None:
        """Bind an account to a person at the identity provider, by a subject as ``ProviderIdentity`` has it.

        Raises:
            AccountRefused: there is no such subject, or the account or the subject is bound already.
        """
        if not re.fullmatch(r"https?://\S+ \S.*", subject):
            raise AccountRefused("this is no subject: give it as the sign-in page shows it, 'https://ISSUER SUBJECT'")
        with self._recorded(act, account, by, subject=subject) as connection:
            owner = _find(connection, subject=subject)
            if owner is not None or _by_id(connection, account.account_id).provider_subject is not None:
                raise AccountRefused("this account or this subject is already bound. Unbind it first")
            connection.execute(SQL["set_subject"], {"account_id": account.account_id, "subject": subject})

    def unbind(self, account: Account, by: Actor) -> None:
        """Unbind an account from its person at the identity provider; end its sessions and remove its tokens.

        Raises:
            AccountRefused: it is not bound.
        """
        with self._database.transaction() as connection:
            subject = _by_id(connection, account.account_id).provider_subject
            if subject is None:
                raise AccountRefused(f"{account.name} is not bound to a subject at the identity provider")
            _shut_out(connection, account)
            connection.execute(SQL["set_subject"], {"account_id": account.account_id, "subject": None})
            self._audit_log.append(connection, Act.PROVIDER_UNBOUND, by, {"account": account.name, "subject": subject})

    @contextmanager
    def _recorded(self, act: Act, account: Account, by: Actor, **details: str) -> Iterator[sqlite3.Connection]:
        """Open a transaction that changes an account, and add an entry to the audit log."""
        with self._database.transaction() as connection:
            yield connection
            self._audit_log.append(connection, act, by, {"account": account.name} | details)

    def _checked_hash(self, password: str, name: str) -> str:
        check_password(password, name)
        return self._passwords.hash(password)


def check_unchanged(connection: sqlite3.Connection, account: Account) -> None:
    """Check that what its owner signs in with is what it was when the account was read: checks take a while.

    Raises:
        SignInRefused: the account was disabled, reset or unbound, or has another password or second factor.
    """
    now = _by_id(connection, account.account_id)
    if any(getattr(now, each) != getattr(account, each) for each in _PROOFS):
        raise SignInRefused("the account was changed a moment ago. Sign in again")


def _find(connection: sqlite3.Connection, **known: int | str) -> Account | None:
    """Return the account of this ``account_id``, ``name`` or ``subject``; None if there is none."""
    values = dict.fromkeys(("account_id", "name", "subject")) | known
    row = connection.execute(SQL["find"], values).fetchone()
    return None if row is None else Account.of(row)


def _by_id(connection: sqlite3.Connection, account_id: int) -> Account:
    account = _find(connection, account_id=account_id)
    if account is None:
        raise AccountRefused("there is no such account")
    return account


def _shut_out(connection: sqlite3.Connection, account: Account) -> None:
    connection.execute(SQL["end_sessions"], {"account_id": account.account_id, "except_hash": _NO_SESSION})
    connection.execute(SQL["remove_tokens"], {"account_id": account.account_id})


def _keep_an_administrator(connection: sqlite3.Connection, account: Account) -> None:
    if not account.is_administrator or account.is_disabled:
        return
    (others,) = connection.execute(SQL["other_administrators"], {"account_id": account.account_id}).fetchone()
    if not others:
        raise AccountRefused(f"{account.name} is the only administrator. Make another one first")
