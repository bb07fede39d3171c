"""Secrets that somebody presents: made at random, kept as a hash.

They are as long as a hash can tell apart, so a plain SHA-256 is enough: there is nothing to guess, and whoever reads
the site's database can present none of them.
"""

import hashlib
import secrets
from typing import Final

_TOKEN_BYTES: Final = 16


def new_token(prefix: str = "", size: int = _TOKEN_BYTES) -> str:
    """Make a token; ``size`` in bytes, 16 or 128 bits unless told otherwise."""
    return prefix + secrets.token_urlsafe(size)


def hash_of(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
