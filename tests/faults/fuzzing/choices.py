"""The doors for what a person types: filters, the choices of pages, settings, and the places of dead letters."""

import json
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

from pydantic import ValidationError
from starlette.datastructures import ImmutableMultiDict

from matterlog.app.errors import WrongUse
from matterlog.app.settings import Settings, SettingsReader
from matterlog.consumers.database.dead_letters import DeadLetterAddress
from matterlog.consumers.errors import ConsumerError
from matterlog.report.engagement.analyses import ANALYSES
from matterlog.report.engagement.engagement_period import Period
from matterlog.report.errors import InvalidFilter
from matterlog.report.log.filters import Filter, zone_of
from matterlog.report.web.reports.activity_choices import ActivityChoices
from matterlog.report.web.reports.engagement_choices import CheckedChoices, EngagementChoices
from tests.faults.fuzzing.damage import changed_json, damaged, odd_text, odd_value, pick

NOWS: Final = (datetime(2026, 11, 22, 14, 5, 9, tzinfo=UTC), datetime(2026, 3, 29, 0, 59, 59, 999999, tzinfo=UTC))
DAYS: Final = ("2026-11-22", "2026-03-29", "0001-01-01", "9999-12-31", "1970-01-01", "2026-11-22T14:05:09+02:00")
ZONES: Final = (
    "UTC",
    "Europe/London",
    "Etc/GMT-14",
    "Etc/GMT+12",
    "Africa/Monrovia",
    "Pacific/Apia",
    "America/Sao_Paulo",
)
PERIODS: Final = ("30d", "90d", "1d", "99999d", "all")
IDS: Final = ("m-1", "u-1", "", " ", "\n", "a\nb")


def _typed(values: tuple[str, ...], dice: Random) -> str:
    """Return one of these values, or an odd one, or one with damage."""
    way = dice.random()
    if way < 0.5:
        return pick(values, dice)
    if way < 0.8:
        return odd_text(dice)
    return damaged(pick(values, dice).encode(), dice).decode("utf-8", "surrogateescape")


def _some(names: tuple[str, ...], values: dict[str, tuple[str, ...]], dice: Random) -> dict[str, str]:
    return {name: _typed(values.get(name, IDS), dice) for name in names if dice.random() < 0.4}


def filters(dice: Random) -> int:
    """As the command line and the API make it; then what each of them asks of it."""
    now = pick(NOWS, dice)
    asked = _some(("last", "first_day", "last_day"), {"last": PERIODS, "first_day": DAYS, "last_day": DAYS}, dice)
    matters = tuple(_typed(IDS, dice) for _ in range(int(dice.random() * 3)))
    try:
        zone = zone_of(_typed(ZONES, dice))
        made = Filter.of(now=now, zone=zone, default=pick(("all", "30d"), dice), matters=matters, **asked)
        assert made.words().startswith("All views")
        assert set(made.parameters()) >= {"since", "until", "matters"}
        Filter.model_validate(made.model_dump(mode="json"))
        Period.of(made, now=now, zone=zone, first_view=pick((None, *NOWS), dice))
    except (InvalidFilter, ValidationError):
        pass
    return 1


def page(dice: Random) -> int:
    """The choices of both pages with choices, as a form or a query string sends them."""
    now = pick(NOWS, dice)
    values = {
        "last": (*PERIODS, ""),
        "from": DAYS,
        "to": DAYS,
        "timezone": ZONES,
        "format": ("csv", "csv-excel", "xlsx"),
    }
    values |= {"user_type": ("Guest", "Member", "all"), "matter_type": ("live", "demo", "all"), "by": ("day", "week")}
    is_activity = dice.random() < 0.5
    names = tuple((ActivityChoices if is_activity else EngagementChoices).fields())
    # A server replaces what is no text of Unicode.
    sent = [
        (name, text.encode("utf-8", "replace").decode())
        for name, text in _some((*names, "add_matter"), values, dice).items()
    ]
    sent += sent[: int(dice.random() * 3)]
    try:
        if is_activity:
            chosen = ActivityChoices.of(ImmutableMultiDict(sent))
            chosen.query()
            chosen.request(now).filter.words()
        else:
            checked = CheckedChoices.of(ImmutableMultiDict(sent), now)
            checked.request(pick(tuple(ANALYSES), dice), now)
            checked.activity_address(now, before=dice.random() < 0.5)
    except InvalidFilter:
        pass
    return 1


def place(dice: Random) -> int:
    """The place of a dead letter."""
    text = _typed(("matter-views:0:1", "a:0:0", "a:2147483647:9223372036854775807"), dice)
    try:
        found = DeadLetterAddress.parse(text)
    except ConsumerError:
        return 1
    assert DeadLetterAddress.parse(":".join(map(str, found))) == found
    return 1


SETTINGS: Final = {
    "broker_timeout_seconds": 5.0,
    "database": "log.duckdb",
    "memory_limit": "2GB",
    "batch_records": 1_000,
    "erase_within": "24h",
    "backup_every": "0",
    "port": 8080,
    "insecure_bind": True,
    "trusted_proxy": "::1",
    "metrics_token": "m" * 16,
    "oidc_issuer": "https://login.example/x",
    "public_url": "https://a.example",
    "kafka": {"security.protocol": "SSL", "log_level": 3},
}
VARIABLES: Final = (
    *(f"MATTERLOG_{name.upper()}" for name in Settings.model_fields),
    *("SCHEMA_REGISTRY_URL", "MATTERLOG_KAFKA_SASL_PASSWORD"),
    *("MATTERLOG_PORT_80_TCP_ADDR", "MATTERLOG_SNAPSHOT_EVERY"),
)


# Digits and depths beyond the limits of Python's own reader; one name below another.
ODD_TOML: Final = (
    b"= " + b"9" * 5_000, b"= 0x" + b"f" * 5_000, b"= " + b"[" * 2_000, b"= " + b"{a=" * 2_000, b".a" * 300 + b"= ",
    b"= 1979-05-27T07:32:00Z #", b"= 07:32:00 #", b"= 1e99999 #",
)  # fmt: skip
FLAGS: Final = tuple(name for name in Settings.model_fields if name != "kafka")


def _toml(value: Any) -> str:
    """Write a value as TOML has it, which for most is as JSON has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value)
    return hex(value) if type(value) is int and abs(value) > 2**64 else str(value).lower()


def settings(folder: Path, dice: Random) -> int:
    """Settings of a file, of the environment and of flags."""
    names = [name for name in SETTINGS if dice.random() < 0.5]
    content = {name: odd_value(dice) if dice.random() < 0.2 else SETTINGS[name] for name in names}
    if dice.random() < 0.1:
        written = changed_json(content, dice)
    else:
        written = "\n".join(f"{name} = {_toml(value)}" for name, value in content.items()).encode("utf-8", "replace")
        written = written.replace(b"= ", pick(ODD_TOML, dice), 1) if dice.random() < 0.05 else written
        written = damaged(written, dice) if dice.random() < 0.5 else written
    path = folder / "matterlog.toml"
    path.write_bytes(written)
    environment = {pick(VARIABLES, dice): _variable(dice) for _ in range(int(dice.random() * 3))}
    flags = {pick(FLAGS, dice): odd_value(dice)} if dice.random() < 0.1 else {}
    try:
        reader = SettingsReader(flags, environment, path)
        made = reader.settings()
        assert made.deadline()
        assert made.backup_interval() is not None
        assert made.topics()
        reader.sources()
    except WrongUse:
        pass
    return 1


def _variable(dice: Random) -> str:
    """Return a value that the environment can hold: without NUL, in bytes that need not be UTF-8."""
    text = _typed(tuple(str(value) for value in SETTINGS.values()), dice)
    return (
        text.replace("\0", "")
        .encode("utf-8", "surrogateescape" if "\udc80" in text else "replace")
        .decode("utf-8", "surrogateescape")
    )
