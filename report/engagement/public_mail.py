"""Which e-mail domains belong to public mail providers: sharing one makes nobody colleagues.

The list is written by hand: domains at which the providers named offer mailboxes to anybody, and those that internet
access providers give to their customers. It is no list of everything; what is missing shows as a domain of its own.
"""

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final


def _read(text: str) -> Mapping[str, str]:
    """Return the provider of each domain; a line is ``PROVIDER: DOMAIN DOMAIN ...``."""
    providers = (line.partition(": ") for line in text.splitlines())
    return MappingProxyType({domain: provider for provider, _, domains in providers for domain in domains.split()})


PUBLIC_MAIL: Final = _read(files(__package__).joinpath("public_mail.txt").read_text(encoding="utf-8"))
