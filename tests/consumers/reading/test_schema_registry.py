"""With a schema registry: Confluent's framing on the wire, both framings read, and what a registry may answer."""

import base64
import http.server
import json
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.errors import BrokerUnavailable, ConsumerError, RegistryUnavailable
from matterlog.consumers.reading import prefetch, schema_registry
from matterlog.consumers.reading.records import Record
from matterlog.consumers.reading.schema_registry import RegisteredSchemas
from matterlog.producers import (
    InvalidSettings,
    KafkaProducer,
    MatterDeletionProducer,
    MatterViewProducer,
    ProducerError,
)
from matterlog.schemas import MatterViewed, Topics, encode
from matterlog.schemas.codec import newest_schema
from matterlog.schemas.topics import key_of
from testbed.events import a_deletion, a_view, record_of
from tests.consumers.pipeline import Pipeline, ids_of
from tests.topics_at_rest import make_topics, messages_of

NOBODY: Final = "127.0.0.1:1"
OURS: Final = Schema(newest_schema(MatterViewed).text, "AVRO")
NOT_OURS: Final = (
    Schema('{"type": "record", "name": "Other", "fields": [{"name": "matter_id", "type": "string"}]}', "AVRO"),
    Schema('{"type": "object", "properties": {"matter_id": {"type": "string"}}}', "JSON"),
    Schema('syntax = "proto3"; message Other { string matter_id = 1; }', "PROTOBUF"),
)


@pytest.fixture
def registry() -> SchemaRegistryClient:
    """Confluent's own registry in memory, empty."""
    return SchemaRegistryClient.new_client({"url": "mock://"})


@pytest.fixture
def pipeline(kafka: str, topic_prefix: str, tmp_path: Path, registry: SchemaRegistryClient) -> Pipeline:
    """A pipeline whose consumer knows the registry."""
    topics = Topics(topic_prefix)
    make_topics(kafka, topics)
    return Pipeline(kafka, topics, tmp_path / "log.duckdb", RegisteredSchemas(registry))


def a_record(registry_id: int) -> Record:
    return record_of(a_view(), 0, 0)._replace(value=encode(a_view(), registry_id))


# On the wire


@pytest.mark.broker
def test_messages_carry_the_registrys_id(pipeline: Pipeline, registry: SchemaRegistryClient) -> None:
    """The schema is registered under the topic's name, as Confluent's own tools look for it."""
    with KafkaProducer(pipeline.servers, schema_registry=registry) as transport:
        MatterViewProducer(transport, topic_prefix=pipeline.topics.prefix).emit_event(a_view())
    registered = registry.get_latest_version(f"{pipeline.views}-value")
    assert registered.schema == OURS
    [message] = messages_of(pipeline.servers, pipeline.views)
    assert bytes(message.value() or b"")[:5] == b"\x00" + (registered.schema_id or 0).to_bytes(4)


@pytest.mark.broker
def test_both_framings_are_read_from_one_topic(pipeline: Pipeline, registry: SchemaRegistryClient) -> None:
    """A registry can come, and go, in the middle of a topic's life."""
    views, deletion = [a_view(matter_id=f"m-{number}") for number in range(4)], a_deletion(matter_id="m-0")
    for view, mine in zip(views, [None, registry, None, registry], strict=True):
        with KafkaProducer(pipeline.servers, schema_registry=mine) as transport:
            MatterViewProducer(transport, topic_prefix=pipeline.topics.prefix).emit_event(view)
    with KafkaProducer(pipeline.servers, schema_registry=registry) as transport:
        MatterDeletionProducer(transport, topic_prefix=pipeline.topics.prefix).emit_event(deletion)
    assert pipeline.catch_up().dead_letters == 0
    assert pipeline.stored() == ids_of(views[1:])


@pytest.mark.broker
def test_an_id_that_the_registry_does_not_know_is_a_dead_letter(pipeline: Pipeline) -> None:
    """Only that message: the one behind it is stored."""
    view = a_view()
    pipeline.put(pipeline.views, ("k", encode(a_view(), 77)), (key_of(view), encode(view)))
    assert pipeline.catch_up() == BatchResult(records=2, views=1, dead_letters=1)
    assert pipeline.dead_letters() == [("matter-views", "unknown-schema")]


class AwayAtFirst:
    """A registry that does not answer before it has been asked three times."""

    def __init__(self, registry: SchemaRegistryClient) -> None:
        self._registry = registry
        self.asked = 0

    def get_schema(self, registry_id: int) -> Schema:
        self.asked += 1
        if self.asked <= 3:
            raise ConnectionError
        return self._registry.get_schema(registry_id)


@pytest.mark.broker
def test_the_consumer_waits_for_a_registry_that_is_away(
    pipeline: Pipeline, registry: SchemaRegistryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No message is bad for that: all is stored when it is back."""
    monkeypatch.setattr(prefetch, "_REGISTRY_PAUSE_SECONDS", 0.0)
    away, view = AwayAtFirst(registry), a_view()
    pipeline.registered = RegisteredSchemas(away)  # type: ignore[arg-type] # a stand-in
    pipeline.put(pipeline.views, (key_of(view), encode(view, registry.register_schema("s", OURS))))
    assert pipeline.catch_up() == BatchResult(records=1, views=1)
    assert away.asked == 4


# What a registry may answer


def test_a_schema_is_asked_for_once(registry: SchemaRegistryClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of ten thousand messages is one question, and the next batch none."""
    registered, asked, answer = RegisteredSchemas(registry), list[int](), registry.get_schema
    mine, others = registry.register_schema("s", OURS), registry.register_schema("t", NOT_OURS[0])

    def ask(registry_id: int) -> Schema:
        asked.append(registry_id)
        return answer(registry_id)

    monkeypatch.setattr(registry, "get_schema", ask)
    for _ in range(2):
        assert list(registered.of([a_record(mine), a_record(others), a_record(mine)])) == [mine]
    assert sorted(asked) == sorted([mine, others])


@pytest.mark.parametrize("schema", NOT_OURS, ids=lambda schema: str(schema.schema_type))
def test_a_registered_schema_that_is_not_ours_is_none(registry: SchemaRegistryClient, schema: Schema) -> None:
    """Other teams share the registry, and their schemas are no Avro at times."""
    registry_id = registry.register_schema("s", schema)
    assert RegisteredSchemas(registry).of([a_record(registry_id)]) == {}


def test_a_schema_that_is_registered_later_is_known_from_then_on(registry: SchemaRegistryClient) -> None:
    """So a dead letter can be retried once its schema is there."""
    registered = RegisteredSchemas(registry)
    assert registered.of([a_record(1)]) == {}
    registry_id = registry.register_schema("s", OURS)
    assert list(registered.of([a_record(registry_id)])) == [registry_id] == [1]


def test_without_a_registry_nothing_is_asked() -> None:
    """Confluent's framing is then of a schema that nobody knows."""
    assert RegisteredSchemas(None).of([a_record(1)]) == {}


@dataclass
class Registry:
    """A web server that answers every question with what the test puts first, and notes who asked."""

    port: int = 0
    queued: list[tuple[int, bytes]] = field(default_factory=list)
    credentials: list[str] = field(default_factory=list)

    @property
    def client(self) -> SchemaRegistryClient:
        """A client of it that asks once."""
        return SchemaRegistryClient.new_client({"url": f"http://127.0.0.1:{self.port}", "max.retries": 0})


@pytest.fixture
def answers() -> Iterator[Registry]:
    """A registry that answers with what a test wants."""
    registry = Registry()

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = registry.queued[0]
            registry.credentials.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the server's name for it

        def log_message(self, *_: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        registry.port = server.server_port
        yield registry
        server.shutdown()
        thread.join()


def test_the_registrys_own_not_found_is_believed(answers: Registry) -> None:
    """It answers, and does not know the ID."""
    answers.queued.append((404, json.dumps({"error_code": 40403, "message": "Schema 7 not found"}).encode()))
    assert RegisteredSchemas(answers.client).of([a_record(7)]) == {}


@pytest.mark.parametrize(
    "answer", [(404, b"<html>no such page</html>"), (404, b'{"error_code": 404}'), (500, b"{}"), (401, b"{}")]
)
def test_any_other_answer_is_no_reason_to_call_a_message_bad(answers: Registry, answer: tuple[int, bytes]) -> None:
    """A proxy's 404, a wrong path, a wrong password: the operator must mend it."""
    answers.queued.append(answer)
    with pytest.raises(BrokerUnavailable, match=f"the schema registry answers with HTTP status {answer[0]}"):
        RegisteredSchemas(answers.client).of([a_record(7)])


@pytest.mark.parametrize("status", [401, 403])
def test_a_registry_that_refuses_the_credentials_is_told_as_such(answers: Registry, status: int) -> None:
    """To both sides; it is there, and waiting for it cures nothing."""
    answers.queued.append((status, b"{}"))
    with pytest.raises(BrokerUnavailable, match=f"status {status}: check the credentials in SCHEMA_REGISTRY_URL"):
        RegisteredSchemas(answers.client).of([a_record(7)])
    with KafkaProducer(NOBODY, schema_registry=answers.client) as transport:  # noqa: SIM117 - the closing may raise
        with pytest.raises(ProducerError, match=f"status {status}: check the credentials"):
            MatterViewProducer(transport)


@pytest.mark.parametrize(
    ("user_info", "sent"),
    [("svc:s3cret", "svc:s3cret"), ("s%40c:s%3A3cret%2F%40", "s@c:s:3cret/@"), ("s3cret", "s3cret:")],
)
def test_the_registrys_password_is_sent_and_never_logged(
    answers: Registry, caplog: pytest.LogCaptureFixture, user_info: str, sent: str
) -> None:
    """By neither side, at whatever level the application logs."""
    caplog.set_level("DEBUG")
    answers.queued.append((200, json.dumps({"id": 1, "schema": OURS.schema_str}).encode()))
    address = f"http://{user_info}@127.0.0.1:{answers.port}"
    RegisteredSchemas(address).of([a_record(7)])
    with KafkaProducer(NOBODY, schema_registry=address) as transport:
        MatterViewProducer(transport)
    assert set(answers.credentials) == {f"Basic {base64.b64encode(sent.encode()).decode()}"}
    assert "HTTP Request" in caplog.text
    assert "3cret" not in caplog.text


def test_a_registry_that_nobody_runs_is_no_reason_to_call_a_message_bad() -> None:
    """The real client, and a port that nobody listens on."""
    client = SchemaRegistryClient.new_client({"url": f"http://{NOBODY}", "max.retries": 0})
    with pytest.raises(BrokerUnavailable, match="the schema registry does not answer"):
        RegisteredSchemas(client).of([a_record(7)])


def test_a_registry_that_never_answers_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing; deletions would wait with it."""
    monkeypatch.setitem(schema_registry._PATIENCE, "timeout", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        registered = RegisteredSchemas(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(RegistryUnavailable, match="the schema registry does not answer") as raised:
            registered.of([a_record(7)])
        with pytest.raises(RegistryUnavailable):
            raised.value.ask_again()


def test_an_id_that_no_registry_gives_is_not_asked_for() -> None:
    """Their IDs end at 2^31 - 1; the question about more would be refused, and reading would wait for ever."""
    client = SchemaRegistryClient.new_client({"url": f"http://{NOBODY}", "max.retries": 0})
    assert RegisteredSchemas(client).of([a_record(2**31)]) == {}


# Settings


def test_a_registry_that_is_away_is_told_before_anything_is_emitted() -> None:
    """At the producer's construction, so that no later emit waits for it."""
    client = SchemaRegistryClient.new_client({"url": f"http://{NOBODY}", "max.retries": 0})
    with KafkaProducer(NOBODY, schema_registry=client) as transport:
        with pytest.raises(ProducerError, match="Check SCHEMA_REGISTRY_URL"):
            MatterViewProducer(transport)
        with pytest.raises(ProducerError, match="matter-deletions-value"):
            MatterDeletionProducer(transport)


@pytest.mark.parametrize("url", ["host:8081", "ftp://host"])
def test_a_malformed_address_is_refused_by_both_sides(url: str) -> None:
    """The text says how to write it, and does not repeat it: a password may stand in it."""
    with pytest.raises(InvalidSettings, match="give it as http://host:8081"):
        KafkaProducer(NOBODY, schema_registry=url)
    with pytest.raises(ConsumerError, match="give it as http://host:8081"):
        RegisteredSchemas(url)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain installation has no registry client."""
    monkeypatch.setitem(sys.modules, "confluent_kafka.schema_registry", None)
    with pytest.raises(InvalidSettings, match=r"pip install 'matterlog\[registry\]'"):
        KafkaProducer(NOBODY, schema_registry="http://host:8081")
