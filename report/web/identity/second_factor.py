"""The second factor: time-based codes of six digits (TOTP, RFC 6238), and recovery codes for a lost device.

1. A code holds for its half minute and the one before and after it, and once: neither it nor an older one is taken
   again.
2. A recovery code is taken once. They are shown when the factor is added, and kept as hashes.
3. The secret itself has to be kept, or no code could be checked: whoever reads the site's database has the second
   factor, but not the password.
"""

import secrets
from datetime import datetime
from typing import Final

import pyotp
import segno

from matterlog.report.errors import CodeRefused
from matterlog.report.web.identity.accounts import SQL as ACCOUNTS_SQL
from matterlog.report.web.identity.accounts import Account
from matterlog.report.web.identity.audit_log import Act, Actor, AuditLog
from matterlog.report.web.identity.secret_tokens import hash_of
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "second_factor.sql")
ISSUER: Final = "matterlog"
_STEP_SECONDS: Final = 30
_STEPS_AROUND: Final = 1
_RECOVERY_CODES: Final = 10
_RECOVERY_CODE_BYTES: Final = 10


class SecondFactors:
    """The second factors in the site's database."""

    def __init__(self, database: SiteDatabase, audit_log: AuditLog) -> None:
        self._database = database
        self._audit_log = audit_log

    def add(self, account: Account, secret: str, code: str, by: Actor) -> list[str]:
        """Give an account a second factor, once its device has shown that it has the secret.

        Returns:
            The recovery codes.

        Raises:
            CodeRefused: the code is not the secret's.
        """
        step = matching_step(secret, code, self._database.now())
        if step is None:
            raise CodeRefused("the code is not the one that the device shows for this secret")
        codes = [secrets.token_hex(_RECOVERY_CODE_BYTES) for _ in range(_RECOVERY_CODES)]
        who = {"account_id": account.account_id}
        with self._database.transaction() as connection:
            connection.execute(SQL["set_secret"], who | {"secret": secret, "step": step})
            connection.execute(ACCOUNTS_SQL["remove_recovery_codes"], who)
            for each in codes:
                connection.execute(SQL["add_recovery_code"], who | {"code_hash": hash_of(each)})
            self._audit_log.append(connection, Act.SECOND_FACTOR_ADDED, by)
        return codes

    def remove(self, account: Account, by: Actor) -> None:
        """Take an account's second factor away."""
        with self._database.transaction() as connection:
            connection.execute(ACCOUNTS_SQL["remove_second_factor"], {"account_id": account.account_id})
            connection.execute(ACCOUNTS_SQL["remove_recovery_codes"], {"account_id": account.account_id})
            self._audit_log.append(connection, Act.SECOND_FACTOR_REMOVED, by)

    def takes(self, account: Account, code: str, by: Actor) -> bool:
        """Say whether a code is right, and use it up: one of the device's, or a recovery code."""
        code = code.replace(" ", "").replace("-", "").lower()
        step = matching_step(account.totp_secret or "", code, self._database.now())
        who = {"account_id": account.account_id}
        with self._database.transaction() as connection:
            if step is not None:
                return bool(connection.execute(SQL["use_step"], who | {"step": step}).rowcount)
            used = connection.execute(SQL["use_recovery_code"], who | {"code_hash": hash_of(code)}).rowcount
            if used:
                self._audit_log.append(connection, Act.RECOVERY_CODE_USED, by)
            return bool(used)

    def recovery_codes_left(self, account: Account) -> int:
        """Return how many recovery codes are left."""
        with self._database.reading() as connection:
            rows = connection.execute(SQL["count_recovery_codes"], {"account_id": account.account_id}).fetchone()
        return int(rows[0])


def new_secret() -> str:
    """Make a secret of 160 bits, in base32 as devices take it."""
    return pyotp.random_base32()


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """Return the half minute, counted from 1970, whose code this is; None for none around now."""
    if not secret or len(code) != 6 or not (code.isascii() and code.isdigit()):  # noqa: PLR2004 - RFC 6238's digits
        return None
    present = int(now.timestamp()) // _STEP_SECONDS
    codes = pyotp.TOTP(secret)
    # From the newest, so that a code is used up together with all before it.
    for step in range(present + _STEPS_AROUND, present - _STEPS_AROUND - 1, -1):
        if secrets.compare_digest(codes.generate_otp(step), code):
            return step
    return None


def qr_code(account: Account, secret: str) -> str:
    """Draw what a device scans to get the secret, as an SVG element without styles or script of its own."""
    address = pyotp.TOTP(secret).provisioning_uri(name=account.name, issuer_name=ISSUER)
    return segno.make(address, error="m").svg_inline(scale=5, border=4, dark="#000", light="#fff", omitsize=True)
