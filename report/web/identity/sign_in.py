"""Signing in with a name, a password and, if the account has one, a second factor.

1. Failures are followed by growing pauses: of one name from one network, and of all names from one network. A browser
   in which the account's owner signed in before counts by itself. So nobody can keep an owner out from elsewhere, and
   right sign-ins count nowhere. The pauses are checked before the password is hashed.
2. An unknown name, a wrong password and a disabled account get the same answer after the same time.
3. An unknown name is recorded nowhere, because it may be a password that was typed in the wrong field.
4. A password that somebody else has set is valid for FIRST_PASSWORD_VALID.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from time import monotonic
from typing import Final

from matterlog.report.errors import CodeRefused, SignInRefused, TooManyTries
from matterlog.report.web.identity.accounts import Account, Accounts, normal_name
from matterlog.report.web.identity.audit_log import Act, Actor, AuditLog
from matterlog.report.web.identity.browsers import Browsers
from matterlog.report.web.identity.passwords import MAX_CHARACTERS, Passwords
from matterlog.report.web.identity.rate_limits import Key, Pauses, network_of
from matterlog.report.web.identity.second_factor import SecondFactors
from matterlog.report.web.identity.sessions import Session, Sessions
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas.instants import as_text

# How many failures are free of a pause.
FREE_BY_NAME: Final = 10
FREE_BY_NETWORK: Final = 30
FIRST_PASSWORD_VALID: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that has just started: its token, and that of the browser; None while it awaits the second factor."""

    token: str
    browser: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where somebody signs in from: the client's address, and the token of a browser that may be known."""

    address: str
    browser: str | None = None


class SignIn:
    """The checks of passwords and codes that start sessions."""

    def __init__(
        self,
        database: SiteDatabase,
        *,
        accounts: Accounts,
        passwords: Passwords,
        sessions: Sessions,
        second_factors: SecondFactors,
        audit_log: AuditLog,
        on_refused: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._now = database.now
        self._accounts = accounts
        self._passwords = passwords
        self._sessions = sessions
        self._second_factors = second_factors
        self._audit_log = audit_log
        self._on_refused = on_refused
        self._browsers = Browsers(database)
        self._by_name = Pauses(FREE_BY_NAME, clock)
        self._by_network = Pauses(FREE_BY_NETWORK, clock)

    def with_password(self, name: str, password: str, way: Way) -> NewSession:
        """Check name and password and start a session.

        Raises:
            TooManyTries, SignInRefused
            SiteBusy: too many people are signing in at once.
        """
        name = normal_name(name)
        account = self._accounts.find(name)
        by = Actor(account=account.name if account else None, address=way.address)
        with self._counted("password", name, account, way):
            if not self._is_right(account, password) or account is None:
                self._audit_log.add(Act.SIGN_IN_FAILED, by, {"how": "password"})
                raise SignInRefused
        self._accounts.refresh_hash(account, password)
        return self.enter(account, way, how="password")

    def with_code(self, waiting: Session, code: str, way: Way) -> NewSession:
        """Check the second factor and start a full session. The caller ends the one that awaited it.

        Raises:
            TooManyTries, CodeRefused
        """
        account = waiting.account
        by = Actor(account=account.name, address=way.address)
        with self._counted("code", account.name, account, way):
            if not self._second_factors.takes(account, code, by):
                self._audit_log.add(Act.SIGN_IN_FAILED, by, {"how": "second factor"})
                raise CodeRefused
        return self.enter(account, way, how="second factor", has_second_factor=True, at_provider=waiting.at_provider)

    def enter(
        self,
        account: Account,
        way: Way,
        *,
        how: str,
        has_second_factor: bool = False,
        at_provider: bool = False,
        authenticated_at: datetime | None = None,
    ) -> NewSession:
        """Start a session for an account whose owner has signed in; one that awaits a second factor not yet asked for.

        Args:
            account: the account.
            way: where its owner comes from.
            how: what was checked, for the audit log.
            has_second_factor: a second factor was asked for, here or by the identity provider.
            at_provider: the identity provider checked the owner.
            authenticated_at: when the owner proved who it is; None means now.
        """
        awaits = account.totp_secret is not None and not has_second_factor
        token = self._sessions.start(
            account,
            way.address,
            awaits_second_factor=awaits,
            at_provider=at_provider,
            has_second_factor=has_second_factor,
            authenticated_at=authenticated_at,
        )
        if awaits:
            return NewSession(token, None)
        self._audit_log.add(Act.SIGNED_IN, Actor(account=account.name, address=way.address), {"how": how})
        return NewSession(token, self._browsers.remember(account, way.browser))

    def check_password_again(self, account: Account, password: str, way: Way) -> None:
        """Check the password of an account that is already signed in.

        Raises:
            TooManyTries, SignInRefused, SiteBusy
        """
        with self._counted("password again", account.name, account, way):
            if not self._is_right(account, password):
                by = Actor(account=account.name, address=way.address)
                self._audit_log.add(Act.SIGN_IN_FAILED, by, {"how": "password again"})
                raise SignInRefused("the current password is wrong")

    def _is_right(self, account: Account | None, password: str) -> bool:
        usable = account is not None and not account.is_disabled and not self._is_expired(account)
        kept = account.password_hash if account is not None and usable else None
        return self._passwords.matches(kept, password[: MAX_CHARACTERS + 1])

    def _is_expired(self, account: Account) -> bool:
        oldest = as_text(self._now() - FIRST_PASSWORD_VALID)
        return account.must_change_password and (account.password_set_at or oldest) <= oldest

    @contextmanager
    def _counted(self, kind: str, name: str, account: Account | None, way: Way) -> Iterator[None]:
        """Count a try as a failure in advance, and take that back unless the block refuses it.

        Raises:
            TooManyTries: a pause is not over yet.
        """
        network = network_of(way.address)
        if account is not None and self._browsers.knows(account, way.browser):
            counted: list[tuple[Pauses, Key]] = [(self._by_name, (kind, "browser", str(way.browser)))]
        else:
            counted = [(self._by_network, (network,)), (self._by_name, (kind, name, network))]
        waits = [pauses.wait_seconds(key) for pauses, key in counted]
        if any(waits):
            for (pauses, key), wait in zip(counted, waits, strict=True):
                if not wait:
                    pauses.take_back(key)
            self._refuse(ceil(max(waits)), way.address)
        try:
            yield
        except (SignInRefused, CodeRefused):
            self._on_refused()
            raise
        except BaseException:
            for pauses, key in counted:
                pauses.take_back(key)
            raise
        for pauses, key in counted:
            (pauses.forget if pauses is self._by_name else pauses.take_back)(key)

    def _refuse(self, wait_seconds: int, address: str) -> None:
        self._on_refused()
        self._audit_log.add_once(Act.SIGN_IN_LIMITED, Actor(address=address))
        refused = TooManyTries(f"Too many attempts. Try again in {wait_seconds} seconds.")
        refused.retry_after_seconds = wait_seconds
        raise refused
