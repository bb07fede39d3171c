"""The address of a schema registry, in which credentials may stand."""

from http import HTTPStatus
from urllib.parse import unquote


def registry_settings(url: str) -> dict[str, str]:
    """Return the settings of confluent-kafka's registry client for an address, or several with commas.

    The credentials leave the address (``basic.auth.user.info``): an HTTP client logs the address of each request.
    """
    addresses, credentials = [], ""
    for address in url.split(","):
        scheme, separator, rest = address.strip().partition("://")
        user_info, _, host = rest.rpartition("@")
        credentials = credentials or user_info
        addresses.append(f"{scheme}{separator}{host}")
    settings = {"url": ",".join(addresses)}
    if credentials:
        user, _, password = credentials.partition(":")
        settings["basic.auth.user.info"] = f"{unquote(user)}:{unquote(password)}"
    return settings


def registry_failure(error: Exception) -> str:
    """Say why a registry's client failed: what the registry answered, or that it did not."""
    status = getattr(error, "http_status_code", None)
    if status is None:
        return f"does not answer ({type(error).__name__})"
    denied = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    advice = ": check the credentials in SCHEMA_REGISTRY_URL, and this user's rights there" if denied else ""
    return f"answers with HTTP status {int(status)}{advice}"
