"""The contract in ``avro/``: its versions read one another, and say the same as the events."""

import io
import json
from importlib.resources import files
from typing import Any, Final

import fastavro
import pytest

from matterlog.schemas import MatterDeleted, MatterType, MatterViewed, UserType
from matterlog.schemas.codec import Schema, newest_schema, schemas
from matterlog.schemas.columns import REPORT_COLUMNS, field_of

# The fields of a view that version 1 has: the report's eight, behind the event's ID.
NINE_FIELDS: Final[dict[str, Any]] = {
    "event_id": "0198c0de-1234-7abc-8def-0123456789ab",
    "user_id": "u-1001",
    "user_name": "Zoë",
    "user_email": "zoe@example.com",
    "user_type": "Guest",
    "matter_viewed_at": 1_767_323_045_678_901,
    "matter_id": "m-42",
    "matter_name": "Project Heron",
    "matter_type": "live",
}
OPTIONAL: Final = (
    "user_company_id",
    "user_company_name",
    "user_member_office_id",
    "user_member_office_name",
    "user_member_office_location_name",
    "user_member_office_location_iso2",
)
FILES: Final = {
    "matter-viewed.v1.avsc": (MatterViewed, 1),
    "matter-viewed.v2.avsc": (MatterViewed, 2),
    "matter-deleted.v1.avsc": (MatterDeleted, 1),
}
LOGICAL_TYPES: Final = {
    "event_id": {"type": "string", "logicalType": "uuid"},
    "matter_viewed_at": {"type": "long", "logicalType": "timestamp-micros"},
    "deleted_at": {"type": "long", "logicalType": "timestamp-micros"},
}
SYMBOLS: Final = {"user_type": ["Guest", "Member"], "matter_type": ["demo", "live"]}

V1, V2, DELETED_V1 = schemas().values()
each_schema: Final = pytest.mark.parametrize("schema", [V1, V2, DELETED_V1], ids=FILES)


def raw(schema: Schema) -> dict[str, Any]:
    """Return the schema's file as it stands, but without logical types: values are what is on the wire."""
    plain: dict[str, Any] = json.loads(schema.text)
    for field in plain["fields"]:
        if field["name"] in LOGICAL_TYPES:
            field["type"] = field["type"]["type"]
    return plain


def fields_of(schema: Schema) -> dict[str, dict[str, Any]]:
    return {field["name"]: field for field in json.loads(schema.text)["fields"]}


def resolved(values: dict[str, Any], *, writer: Schema, reader: Schema) -> Any:
    wire = io.BytesIO()
    fastavro.schemaless_writer(wire, raw(writer), values)
    wire.seek(0)
    return fastavro.schemaless_reader(wire, raw(writer), raw(reader))


def test_a_reader_of_version_2_finds_nulls_in_a_view_of_version_1() -> None:
    assert resolved(NINE_FIELDS, writer=V1, reader=V2) == NINE_FIELDS | dict.fromkeys(OPTIONAL)


@pytest.mark.parametrize("optional", [dict.fromkeys(OPTIONAL), dict.fromkeys(OPTIONAL, "GB")])
def test_a_reader_of_version_1_passes_over_what_version_2_added(optional: dict[str, str | None]) -> None:
    assert resolved(NINE_FIELDS | optional, writer=V2, reader=V1) == NINE_FIELDS


def test_version_2_is_version_1_and_optional_fields_behind_it() -> None:
    old, new = fields_of(V1), fields_of(V2)
    assert list(new.items())[: len(old)] == list(old.items())
    assert tuple(new)[len(old) :] == OPTIONAL


def test_version_1_is_the_event_id_and_the_reports_eight_columns() -> None:
    assert tuple(fields_of(V1)) == ("event_id", *(field_of(column) for column in REPORT_COLUMNS))
    assert tuple(fields_of(V1)) == tuple(NINE_FIELDS)


@pytest.mark.parametrize("schema", [V2, DELETED_V1])
def test_the_newest_schema_has_the_events_fields_in_the_events_order(schema: Schema) -> None:
    assert newest_schema(schema.event) is schema
    assert tuple(fields_of(schema)) == tuple(schema.event.model_fields)


@pytest.mark.parametrize("schema", [V2, DELETED_V1])
def test_a_field_may_be_null_exactly_where_the_event_leaves_it_out(schema: Schema) -> None:
    nullable = {name for name, field in fields_of(schema).items() if field["type"] == ["null", "string"]}
    required = {name for name, field in schema.event.model_fields.items() if field.is_required()}
    assert nullable == set(schema.event.model_fields) - required - {"event_id"}


@each_schema
def test_a_field_has_the_default_null_or_none_at_all(schema: Schema) -> None:
    for field in fields_of(schema).values():
        assert ("default" in field) == (field["type"] == ["null", "string"])
        assert field.get("default") is None


@each_schema
def test_every_record_field_and_enum_says_what_it_means(schema: Schema) -> None:
    fields = fields_of(schema).values()
    enums = [field["type"] for field in fields if field["name"] in SYMBOLS]
    for described in (json.loads(schema.text), *fields, *enums):
        assert len(described["doc"].split()) >= 3, described["name"]
        assert described["doc"].endswith("."), described["name"]


@each_schema
def test_ids_and_times_have_their_logical_types(schema: Schema) -> None:
    fields = fields_of(schema)
    expected = {name: logical for name, logical in LOGICAL_TYPES.items() if name in fields}
    assert {name: field["type"] for name, field in fields.items() if "logicalType" in field["type"]} == expected


@each_schema
def test_the_symbols_are_the_events_words_in_their_order(schema: Schema) -> None:
    fields = fields_of(schema)
    found = {name: field["type"]["symbols"] for name, field in fields.items() if name in SYMBOLS}
    assert found == (SYMBOLS if schema.event is MatterViewed else {})
    assert {"user_type": list(UserType), "matter_type": list(MatterType)} == SYMBOLS


@each_schema
def test_no_schema_has_an_array_a_map_or_a_record_inside(schema: Schema) -> None:
    flat = ({"type": "string"}, {"type": "long"}, {"type": "enum"}, "string", ["null", "string"])
    for field in fields_of(schema).values():
        kind = {"type": field["type"]["type"]} if isinstance(field["type"], dict) else field["type"]
        assert kind in flat


@each_schema
def test_the_records_full_name_is_matterlog_and_the_event(schema: Schema) -> None:
    assert (schema.parsed["name"], schema.event.event_type) == (
        f"matterlog.{schema.event.__name__}",
        schema.event.__name__,
    )


def test_every_file_of_the_contract_is_read_and_nothing_else() -> None:
    folder = files("matterlog.schemas") / "avro"
    assert {entry.name for entry in folder.iterdir()} == set(FILES)
    read = {(schema.event, schema.version): schema.text for schema in schemas().values()}
    assert read == {which: (folder / name).read_text(encoding="utf-8") for name, which in FILES.items()}
