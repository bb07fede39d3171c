"""The manifest: the JSON file beside an extract that says what it holds, and from which snapshot of the log.

``manifest.schema.json`` is its JSON Schema. ``docs/manifest.md`` explains each field.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from matterlog.report.engagement.engagement import EngagementRequest
from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.errors import BadManifest
from matterlog.report.extracts.extracts import Extract
from matterlog.report.extracts.formats import FormatName
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.register import RegisterEntry
from matterlog.report.log.filters import Filter
from matterlog.report.log.snapshot import PartitionPosition, PurgedMatter, RecordedGap

MANIFEST_ENDING: Final = ".manifest.json"


class FilterStatement(BaseModel, frozen=True, extra="forbid"):
    """The filter of the extract, as a sentence and as data."""

    words: str
    data: Filter


class Options(BaseModel, frozen=True, extra="forbid"):
    """Options by which the file differs from the values in the log.

    ``formula_safe``: text that a spreadsheet would read as a formula has a quote in front. ``byte_order_mark``: the
    file begins with three bytes by which Excel recognises UTF-8.
    """

    formula_safe: bool
    byte_order_mark: bool


class PartitionStatement(PartitionPosition, frozen=True):
    """The Kafka position of a partition, its end, and how many offsets lie between; None where Kafka was not asked."""

    end_offset: int | None
    behind: int | None


class TopicEnds(BaseModel, frozen=True, extra="forbid"):
    """When Kafka was asked for the ends of the topics, or why they are not known."""

    asked_at: AwareDatetime | None
    not_known_because: str | None


class SeriesPart(BaseModel, frozen=True, extra="forbid"):
    """The file's place in a series of extracts.

    A ``full`` part holds everything, a ``delta`` what arrived after ``arrived_after``. ``previous_manifest_sha256`` is
    the hash of the bytes of the previous part's manifest. ``begins_because`` says why the part is a full one.
    """

    name: str
    part: int = Field(ge=1)
    kind: Literal["full", "delta"]
    arrived_after: int | None
    previous_manifest_sha256: str | None
    begins_because: str | None


class Manifest(BaseModel, frozen=True, extra="forbid"):
    """The statement of what an extract holds. Every fact about the log comes from the snapshot of the rows.

    ``gaps`` and ``unresolved_dead_letters`` say what the log itself lacks. In a series ``purges`` are the matters that
    were purged since the previous part; otherwise None. For an engagement table ``engagement`` is the question, and
    ``filter`` are the views that it is based on; for the Activity report ``engagement`` is None.
    """

    manifest_version: Literal[1] = 1
    report_format_version: Literal[1] = 1
    extract_id: UUID
    file: str
    format: FormatName
    columns: tuple[str, ...]
    rows: int
    bytes: int
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    filter: FilterStatement
    options: Options
    taken_at: AwareDatetime
    log_id: UUID
    last_arrival: int
    positions: tuple[PartitionStatement, ...]
    topic_ends: TopicEnds
    unresolved_dead_letters: int
    gaps: tuple[RecordedGap, ...]
    purges: tuple[PurgedMatter, ...] | None
    series: SeriesPart | None
    engagement: EngagementRequest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEnds:
    """The ends of the partitions, by topic and partition, from Kafka; empty if they are not known, with the reason."""

    asked_at: AwareDatetime | None = None
    not_known_because: str | None = None
    ends: Mapping[tuple[str, int], int] = field(default_factory=dict)


def manifest_path(extract: Path) -> Path:
    return extract.with_name(extract.name + MANIFEST_ENDING)


def manifest_of(
    extract: Extract,
    entry: RegisterEntry,
    request: ExtractRequest | EngagementFileRequest,
    ends: KnownEnds,
    series: SeriesPart | None = None,
) -> Manifest:
    """Return the manifest of an extract that was written and registered."""
    snapshot = extract.snapshot
    return Manifest(
        **extract.model_dump(include={"rows", "bytes", "sha256"}),
        **snapshot.model_dump(include={"taken_at", "log_id", "last_arrival", "gaps", "purges"}),
        extract_id=entry.extract_id,
        file=Path(entry.name).name,
        format=request.format,
        columns=request.column_names,
        filter=FilterStatement(words=request.filter.words(), data=request.filter),
        options=Options(formula_safe=request.is_formula_safe, byte_order_mark=request.excel),
        positions=tuple(_with_end(position, ends) for position in snapshot.positions),
        topic_ends=TopicEnds(asked_at=ends.asked_at, not_known_because=ends.not_known_because),
        unresolved_dead_letters=snapshot.dead_letters,
        series=series,
        engagement=request.engagement if isinstance(request, EngagementFileRequest) else None,
    )


def bytes_of(manifest: Manifest) -> bytes:
    return (json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n").encode()


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        BadManifest: it is missing or invalid; the text names the file and the first wrong field.
    """
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadManifest(f"{path} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise BadManifest(f"{path} is not a manifest: {_first_problem(error)}") from None


def _first_problem(error: ValidationError) -> str:
    problem: Mapping[str, Any] = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}"


def _with_end(position: PartitionPosition, known: KnownEnds) -> PartitionStatement:
    end = known.ends.get((position.topic, position.partition))
    behind = None if end is None else max(0, end - position.next_offset)
    return PartitionStatement(**position.model_dump(), end_offset=end, behind=behind)


if __name__ == "__main__":
    print(json.dumps(Manifest.model_json_schema(mode="serialization"), indent=2))  # noqa: T201 - prints the schema
