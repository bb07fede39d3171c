"""The second factor: time-based codes of six digits (TOTP, RFC 6238), and recovery codes for a lost device.

1. A code is valid in its half minute and in those before and after it, and only once: afterwards neither it nor an
   older one is accepted.
2. A recovery code is valid once. The codes are shown when the factor is added, and stored as hashes.
3. The secret itself is stored, because codes are checked with it. Where the site has a secret of its own, it is
   encrypted with a key derived from that (Fernet). Otherwise somebody who reads the site's database has the second
   factor, but not the password.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Final

import pyotp
import segno
from cryptography.fernet import Fernet, InvalidToken

from matterlog.report.errors import CodeRefused
from matterlog.report.web.identity.accounts import SQL as ACCOUNTS_SQL
from matterlog.report.web.identity.accounts import Account, check_unchanged
from matterlog.report.web.identity.audit_log import Act, Actor, AuditLog
from matterlog.report.web.identity.secret_tokens import hash_of
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "second_factor.sql")
# How each Fernet token begins: its version. No base32 secret does, which has no lower case.
_ENCRYPTED: Final = "gAAAAA"
ISSUER: Final = "matterlog"
_STEP_SECONDS: Final = 30
_STEPS_AROUND: Final = 1
_RECOVERY_CODES: Final = 10
_RECOVERY_CODE_BYTES: Final = 10


class SecondFactors:
    """The second factors in the site's database.

    Args:
        database: the site's database.
        audit_log: where changes are recorded.
        site_secret: what the factors' secrets are encrypted with, those too that lie in clear; None: nothing.
    """

    def __init__(self, database: SiteDatabase, audit_log: AuditLog, site_secret: str | None = None) -> None:
        self._database = database
        self._audit_log = audit_log
        self._cipher: Fernet | None = None
        if site_secret is not None:
            key = hmac.digest(site_secret.encode(), b"second factor", "sha256")
            self._cipher = Fernet(urlsafe_b64encode(key))
            self._encrypt_all()

    def _encrypt_all(self) -> None:
        with self._database.transaction() as connection:
            for account_id, secret in connection.execute(SQL["in_clear"]).fetchall():
                values = {"account_id": account_id, "secret": self._encrypted(secret)}
                connection.execute(SQL["replace_secret"], values)

    def _encrypted(self, secret: str) -> str:
        return secret if self._cipher is None else self._cipher.encrypt(secret.encode()).decode()

    def _decrypted(self, stored: str) -> str:
        """Return an account's secret.

        Raises:
            CodeRefused: it was encrypted with another secret of the site.
        """
        if not stored.startswith(_ENCRYPTED):
            return stored
        try:
            if self._cipher is not None:
                return self._cipher.decrypt(stored).decode()
        except InvalidToken:
            pass
        raise CodeRefused(
            "The second factor cannot be checked: the setting site_secret is not the one that it was encrypted with. "
            "Use a recovery code, or tell an administrator"
        )

    def add(
        self, account: Account, secret: str, code: str, by: Actor, *, end_tokens: bool = False, but: bytes = b""
    ) -> list[str]:
        """Add a second factor, if a code proves that the device has the secret, and end the account's other sessions.

        Args:
            account: the account.
            secret: the factor's secret.
            code: what the device shows.
            by: who adds it.
            but: the session that stays.
            end_tokens: remove the account's API tokens too.

        Returns:
            The recovery codes.

        Raises:
            CodeRefused: the code does not match the secret.
        """
        step = matching_step(secret, code, self._database.now())
        if step is None:
            raise CodeRefused("the code does not match this secret. Type the code that the app shows now")
        codes = [secrets.token_hex(_RECOVERY_CODE_BYTES) for _ in range(_RECOVERY_CODES)]
        who = {"account_id": account.account_id}
        with self._database.transaction() as connection:
            check_unchanged(connection, account)
            connection.execute(ACCOUNTS_SQL["end_sessions"], who | {"except_hash": but})
            connection.execute(SQL["set_secret"], who | {"secret": self._encrypted(secret), "step": step})
            connection.execute(ACCOUNTS_SQL["remove_recovery_codes"], who)
            for each in codes:
                connection.execute(SQL["add_recovery_code"], who | {"code_hash": hash_of(each)})
            if end_tokens:
                connection.execute(ACCOUNTS_SQL["remove_tokens"], who)
            self._audit_log.append(connection, Act.SECOND_FACTOR_ADDED, by, {"tokens_ended": end_tokens})
        return codes

    def remove(self, account: Account, by: Actor, *, but: bytes = b"") -> None:
        """Remove an account's second factor, and end its sessions but one."""
        who = {"account_id": account.account_id}
        with self._database.transaction() as connection:
            check_unchanged(connection, account)
            connection.execute(ACCOUNTS_SQL["end_sessions"], who | {"except_hash": but})
            connection.execute(ACCOUNTS_SQL["remove_second_factor"], who)
            connection.execute(ACCOUNTS_SQL["remove_recovery_codes"], who)
            self._audit_log.append(connection, Act.SECOND_FACTOR_REMOVED, by)

    def takes(self, account: Account, code: str, by: Actor) -> bool:
        """Use up a code of the device or a recovery code, and return whether it was right."""
        code = code.replace(" ", "").replace("-", "").lower()
        secret = "" if len(code) == 2 * _RECOVERY_CODE_BYTES else self._decrypted(account.totp_secret or "")
        step = matching_step(secret, code, self._database.now())
        who = {"account_id": account.account_id}
        with self._database.transaction() as connection:
            if step is not None:
                return bool(connection.execute(SQL["use_step"], who | {"step": step}).rowcount)
            used = connection.execute(SQL["use_recovery_code"], who | {"code_hash": hash_of(code)}).rowcount
            if used:
                self._audit_log.append(connection, Act.RECOVERY_CODE_USED, by)
            return bool(used)

    def recovery_codes_left(self, account: Account) -> int:
        """Return how many of an account's recovery codes are unused."""
        ((left,),) = self._database.rows(SQL["count_recovery_codes"], account_id=account.account_id)
        return int(left)


def new_secret() -> str:
    """Generate a secret of 160 bits, in base32 for authenticator apps."""
    return pyotp.random_base32()


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """Return the half minute since 1970 that a code belongs to; None if it is none of those around now."""
    if not secret or len(code) != 6 or not (code.isascii() and code.isdigit()):  # noqa: PLR2004 - RFC 6238's digits
        return None
    present = int(now.timestamp()) // _STEP_SECONDS
    codes = pyotp.TOTP(secret)
    # Newest first, so that a used code also uses up all older ones.
    for step in range(present + _STEPS_AROUND, present - _STEPS_AROUND - 1, -1):
        if secrets.compare_digest(codes.generate_otp(step), code):
            return step
    return None


def qr_code(account: Account, secret: str) -> str:
    """Draw the QR code of a secret as an SVG element without styles or scripts."""
    address = pyotp.TOTP(secret).provisioning_uri(name=account.name, issuer_name=ISSUER)
    return segno.make(address, error="m").svg_inline(scale=5, border=4, dark="#000", light="#fff", omitsize=True)
