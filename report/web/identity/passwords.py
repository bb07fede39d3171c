"""Passwords: which are good enough, and how one is kept.

1. At least 8 characters are required, 15 advised; common ones and those made of the account's name are refused. No
   other rule (NIST SP 800-63B): "one digit, one capital" makes passwords worse, not better.
2. What is kept is Argon2id (64 MiB, 3 passes). Each hash takes that memory, so at most two are made at once, and few
   wait: a flood of log-ins costs who floods an answer, and the site nothing.
3. A check against no account takes as long as one against a wrong password.
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
# Hashing takes the longer the longer the text is; nobody types more.
MAX_CHARACTERS: Final = 256
_HASHER: Final = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)
_AT_ONCE: Final = 2
_MAX_WAITING: Final = 8
_MAX_WAIT_SECONDS: Final = 5.0
# Without what is mistaken for something else when it is read out: 0 and o, 1, i and l.
_GENERATED_FROM: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_GENERATED_PARTS: Final = 4
_GENERATED_PART_CHARACTERS: Final = 5


class Passwords:
    """Makes and checks the hashes of passwords, a few at a time."""

    def __init__(self) -> None:
        _hash_of_nobody()  # made before it is needed: the first unknown name must not take longer
        self._at_once = threading.BoundedSemaphore(_AT_ONCE)
        self._waiting = threading.BoundedSemaphore(_AT_ONCE + _MAX_WAITING)

    def hash(self, password: str) -> str:
        """Return what is kept of a password.

        Raises:
            SiteBusy: too many passwords are being hashed.
        """
        with self._turn():
            return _HASHER.hash(_normal(password))

    def matches(self, password_hash: str | None, password: str) -> bool:
        """Say whether a password is the one; never for None, which takes as long all the same.

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
        """Say whether a hash was made with other costs than today's."""
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
    """Check whether a password may be chosen.

    Raises:
        PasswordRefused: it may not; the text says why, and does not hold it.
    """
    if len(password) < MIN_CHARACTERS:
        raise PasswordRefused(f"the password has fewer than {MIN_CHARACTERS} characters; {ADVISED_CHARACTERS} are good")
    if len(password) > MAX_CHARACTERS:
        raise PasswordRefused(f"the password has more than {MAX_CHARACTERS} characters")
    plain = _normal(password).casefold()
    if plain in _common_passwords() or _is_one_step(plain):
        raise PasswordRefused("the password is one of the most common ones")
    if any(part in plain for part in ("matterlog", *_parts(account_name))):
        raise PasswordRefused("the password contains the account's name, or this program's")


def generate_password() -> str:
    """Make a password of 99 bits that can be read out."""
    parts = [
        "".join(secrets.choice(_GENERATED_FROM) for _ in range(_GENERATED_PART_CHARACTERS))
        for _ in range(_GENERATED_PARTS)
    ]
    return "-".join(parts)


def _normal(password: str) -> str:
    """The same characters may come composed or not, by keyboard."""
    return unicodedata.normalize("NFKC", password)


def _parts(account_name: str) -> list[str]:
    local = account_name.casefold().partition("@")[0]
    return [part for part in {account_name.casefold(), local} if len(part) > 2]  # noqa: PLR2004 - "jo" is in "major"


def _is_one_step(password: str) -> bool:
    """Say whether each character is as far from the one before: aaaaaaaa, 23456789, hgfedcba."""
    steps = {ord(after) - ord(before) for before, after in itertools.pairwise(password)}
    return len(steps) == 1 and abs(steps.pop()) <= 1


@cache
def _hash_of_nobody() -> str:
    return _HASHER.hash(secrets.token_urlsafe())


@cache
def _common_passwords() -> frozenset[str]:
    text = files(__package__).joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line.casefold() for line in text.splitlines() if not line.startswith("#"))
