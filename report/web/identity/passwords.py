"""Passwords: which ones are allowed, and how they are stored.

1. At least 8 characters are required, 15 are advised. Common passwords and those with the account's name are refused.
   There is no other rule (NIST SP 800-63B): "one digit, one capital" makes passwords worse, not better.
2. Passwords are stored as Argon2id hashes (64 MiB, 3 passes). Each hash takes that memory, so at most two are made at
   once and few requests wait. A flood of sign-ins gets refusals and does not exhaust the site.
3. A check for an unknown account takes as long as one with a wrong password.
"""

import itertools
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from matterlog.report.errors import PasswordRefused, SiteBusy

MIN_CHARACTERS: Final = 8
ADVISED_CHARACTERS: Final = 15
# Longer texts take longer to hash. Nobody types more than this.
MAX_CHARACTERS: Final = 256
_HASHER: Final = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)
_AT_ONCE: Final = 2
_MAX_WAITING: Final = 8
_MAX_WAIT_SECONDS: Final = 5.0
# Without characters that look or sound alike: 0 and o, 1, i and l.
_GENERATED_FROM: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_GENERATED_PARTS: Final = 4
_GENERATED_PART_CHARACTERS: Final = 5


class Passwords:
    """The hasher of passwords, for a few at a time."""

    def __init__(self) -> None:
        self._at_once = threading.BoundedSemaphore(_AT_ONCE)
        self._waiting = threading.BoundedSemaphore(_AT_ONCE + _MAX_WAITING)

    def hash(self, password: str) -> str:
        """Hash a password.

        Raises:
            SiteBusy: too many passwords are being hashed.
        """
        with self._turn():
            return _HASHER.hash(_normal(password))

    def matches(self, password_hash: str | None, password: str) -> bool:
        """Return whether a password matches a hash; False for None, after the same time.

        Raises:
            SiteBusy: too many passwords are being hashed.
        """
        with self._turn():
            try:
                right = _HASHER.verify(password_hash or _hash_of_nobody(), _normal(password))
            except (VerificationError, InvalidHashError):
                return False
        return right and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether a hash was made with other costs than the current ones."""
        return _HASHER.check_needs_rehash(password_hash)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._waiting.acquire(blocking=False):
            raise SiteBusy
        try:
            if not self._at_once.acquire(timeout=_MAX_WAIT_SECONDS):
                raise SiteBusy
            try:
                yield
            finally:
                self._at_once.release()
        finally:
            self._waiting.release()


def check_password(password: str, account_name: str) -> None:
    """Check that a password is allowed.

    Raises:
        PasswordRefused: it is not. The text says why, without the password.
    """
    if len(password) < MIN_CHARACTERS:
        raise PasswordRefused(
            f"the password has fewer than {MIN_CHARACTERS} characters. {ADVISED_CHARACTERS} are better"
        )
    if len(password) > MAX_CHARACTERS:
        raise PasswordRefused(f"the password has more than {MAX_CHARACTERS} characters")
    plain = _normal(password).casefold()
    if plain in _common_passwords() or _is_one_step(plain):
        raise PasswordRefused("the password is one of the most common ones")
    if any(part in plain for part in ("matterlog", *_parts(account_name))):
        raise PasswordRefused("the password contains the name of the account or of this program")


def generate_password() -> str:
    """Generate a password of 99 bits that is easy to read out."""
    parts = [
        "".join(secrets.choice(_GENERATED_FROM) for _ in range(_GENERATED_PART_CHARACTERS))
        for _ in range(_GENERATED_PARTS)
    ]
    return "-".join(parts)


def _normal(password: str) -> str:
    """Normalise a password: keyboards send the same characters composed or decomposed."""
    return unicodedata.normalize("NFKC", password)


def _parts(account_name: str) -> list[str]:
    plain = _normal(account_name).casefold()
    return [part for part in {plain, plain.partition("@")[0]} if len(part) > 2]  # noqa: PLR2004 - "jo" is in "major"


def _is_one_step(password: str) -> bool:
    """Return whether the characters are equal or consecutive: aaaaaaaa, 23456789, hgfedcba."""
    steps = {ord(after) - ord(before) for before, after in itertools.pairwise(password)}
    return len(steps) == 1 and abs(steps.pop()) <= 1


def _hash_of_nobody() -> str:
    """Return a hash that no password has, salt and digest all zeros, with the costs of an account's."""
    costs = f"m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    return f"$argon2id$v=19${costs}${'A' * 22}${'A' * 43}"


@cache
def _common_passwords() -> frozenset[str]:
    text = files(__package__).joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line.casefold() for line in text.splitlines() if not line.startswith("#"))
