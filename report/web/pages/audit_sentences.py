"""The entries of the audit log as sentences for people, such as ``ana signed out``."""

import json
import re
import tomllib
from collections import defaultdict
from importlib.resources import files
from typing import Any, Final

from matterlog.report.log.filters import Filter
from matterlog.report.web.identity.audit_log import Entry

SENTENCES: Final[dict[str, str]] = tomllib.loads(files(__package__).joinpath("audit_sentences.toml").read_text("utf-8"))
_REPORT: Final = re.compile(r"REPORTS_(\w+)_(DOWNLOADED|ABANDONED)_(.+)")
# Figures in the details that a sentence has at its end.
_FIGURES: Final = ("rows", "chosen", "shown", "rejected")


def sentence_of(entry: Entry) -> str:
    """Return an entry as a sentence. An act that nothing is known of stands as it is."""
    said: dict[str, Any] = json.loads(entry.details)
    who = entry.account or (f"System user {said['system_user']}" if "system_user" in said else "Somebody")
    if report := _REPORT.fullmatch(entry.act):
        text = f"{report[2]} the report {report[1].replace('_', ' ')} as {report[3]}".lower()
    else:
        because = f": {said['reason']}" if said.get("reason") else ""
        text = SENTENCES.get(entry.act, entry.act).format_map(defaultdict(lambda: "?", said, because=because))
    parts = [f"{said[name]:,} {name.rstrip('s') if said[name] == 1 else name}" for name in _FIGURES if name in said]
    if (chosen := said.get("filter")) is not None:
        parts += [f"{name.replace('_', ' ')}: {count:,}" for name, count in chosen.items() if isinstance(count, int)]
        period = Filter(since=chosen.get("since"), until=chosen.get("until")).words()
        parts.append(period.removeprefix("All views").strip(" .") or "all time")
    if "failed" in said:
        parts.append(f"failed ({said['failed']})")
    return f"{who} {text}{': ' if parts else ''}{', '.join(parts)}"
