"""Random tokens, of which the site stores only a hash.

They are too long to guess, so a plain SHA-256 is enough. Somebody who reads the site's database cannot use any of them.
"""

import hashlib
import secrets
from typing import Final

_TOKEN_BYTES: Final = 16


def new_token(prefix: str = "", size: int = _TOKEN_BYTES) -> str:
    """Make a random token. ``size`` is in bytes, 16 (128 bits) by default."""
    return prefix + secrets.token_urlsafe(size)


def hash_of(token: str) -> bytes:
    """Return the hash of a token, which is stored in its place."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
