"""The e-mail domains of public mail providers: people who share such a domain need not be colleagues.

The list is written by hand. It has the domains on which providers offer mailboxes to anybody, and those that internet
access providers give to their customers. It is not complete: a missing domain counts as a client of its own.
"""

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final


def _read(text: str) -> Mapping[str, str]:
    """Return the provider of each domain, from lines like ``PROVIDER: DOMAIN DOMAIN ...``."""
    providers = (line.partition(": ") for line in text.splitlines())
    return MappingProxyType({domain: provider for provider, _, domains in providers for domain in domains.split()})


PUBLIC_MAIL: Final = _read(files(__package__).joinpath("public_mail.txt").read_text(encoding="utf-8"))
