"""Each role needs exactly the Kafka rights that docs/operations.md lists, on a real broker that asks for them."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import pytest
import typer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # they are documented there
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from matterlog.app.commands import _NAMES, app
from matterlog.consumers.reading.group_offsets import GroupOffsets
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.reading.records import Move
from matterlog.schemas import Topics
from testbed.apache_kafka import LocalKafka
from testbed.command import Ended, consuming, run
from testbed.events import a_deletion, a_view
from testbed.served import serving
from tests.consumers.pipeline import Pipeline
from tests.topics_at_rest import admin_of, make_topics, messages_of

pytestmark = pytest.mark.broker

OPERATIONS: Final = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
# In the table's order: what a right is on, with the prefix's place.
RESOURCES: Final = ("topic {}matter-views", "topic {}matter-deletions", "group {}matterlog", "the cluster")
# What a role's right stands on -> the resource's kind for Kafka; its cluster has one name.
KINDS: Final = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "the": ResourceType.BROKER}
# Longer than a minute, in which the consumer asks whether it may still read if the client told it nothing.
PATIENCE_SECONDS: Final = 120.0
VIEW: Final = b"user_ID,user_name,user_email,user_type,matter_viewed_at,matter_ID,matter_name,matter_type\n"
VIEW_LINE: Final = b"u-1,Ann,ann@firm.example,Member,2026-11-29T12:00:00Z,m-1,Larch,live\n"


@dataclass(frozen=True)
class Right:
    """One right of a role: the operation, what it is on, and whether the role can do without it."""

    operation: str
    resource: str
    optional: bool = False


def role_rights() -> dict[str, tuple[Right, ...]]:
    """The rights of each command, as the table says them."""
    table = OPERATIONS.partition("## Kafka rights")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \|(.*)\|$", table, re.MULTILINE)[2:]
    found: dict[str, tuple[Right, ...]] = {}
    for who, cells in rows:
        rights = [
            Right(operation.strip("() "), resource, operation.strip().startswith("("))
            for resource, cell in zip(RESOURCES, cells.split("|"), strict=True)
            for operation in cell.split(",")
            if operation.strip()
        ]
        found |= dict.fromkeys(re.findall(r"`([\w -]+)`", who), tuple(rights))
    return found


RIGHTS: Final = role_rights()


@dataclass
class Role:
    """A Kafka user with its rights on topics of its own, and a database."""

    kafka: LocalKafka
    user: str
    topics: Topics
    folder: Path

    @property
    def settings(self) -> dict[str, str]:
        """What a process of this user finds in its environment."""
        return {
            "MATTERLOG_BOOTSTRAP_SERVERS": self.kafka.users_servers,
            "MATTERLOG_TOPIC_PREFIX": self.topics.prefix,
            "MATTERLOG_DATABASE": str(self.folder / "log.duckdb"),
            "MATTERLOG_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "MATTERLOG_KAFKA_SASL_MECHANISM": "PLAIN",
            "MATTERLOG_KAFKA_SASL_USERNAME": self.user,
            "MATTERLOG_KAFKA_SASL_PASSWORD": self.user,
        }

    @property
    def pipeline(self) -> Pipeline:
        """The topics and the database, at the door where nobody is asked for a right."""
        return Pipeline(self.kafka.bootstrap_servers, self.topics, self.folder / "log.duckdb")

    def run(self, *arguments: str, given: bytes = b"") -> Ended:
        """Run a command as this user."""
        return run(*arguments, cwd=self.folder, given=given, settings=self.settings)

    def give(self, right: Right) -> None:
        """Give the user one right."""
        kind, _, name = right.resource.format(self.topics.prefix).partition(" ")
        operation = AclOperation[re.sub(r"(?<!^)(?=[A-Z])", "_", right.operation).upper()]
        named = "kafka-cluster" if kind == "the" else name
        allow = AclPermissionType.ALLOW
        binding = AclBinding(
            KINDS[kind], named, ResourcePatternType.LITERAL, f"User:{self.user}", "*", operation, allow
        )
        self._give(binding)

    def _give(self, binding: AclBinding) -> None:
        admin = admin_of(self.kafka.bootstrap_servers)
        for future in admin.create_acls([binding]).values():
            future.result(PATIENCE_SECONDS)
        wanted = AclBindingFilter(
            binding.restype,
            binding.name,
            binding.resource_pattern_type,
            binding.principal,
            binding.host,
            binding.operation,
            binding.permission_type,
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not admin.describe_acls(wanted).result(PATIENCE_SECONDS):
            assert time.monotonic() < deadline
            time.sleep(0.05)


# What a role said, and whether its work is done.
Work = Callable[[Role], tuple[str, bool]]


def emit_views(role: Role) -> tuple[str, bool]:
    """Send a view."""
    ended = role.run("emit", "views", "-", given=VIEW + VIEW_LINE)
    return ended.err, ended.code == 0 and len(messages_of(role.kafka.bootstrap_servers, role.pipeline.views)) == 3


def emit_deletions(role: Role) -> tuple[str, bool]:
    """Send a deletion."""
    ended = role.run("emit", "deletions", "-", given=b'{"matter_ID": "m-9"}\n')
    return ended.err, ended.code == 0 and len(messages_of(role.kafka.bootstrap_servers, role.pipeline.deletions)) == 2


def reading(*arguments: str) -> Work:
    """Read the topics, and erase from them what was deleted."""

    def work(role: Role) -> tuple[str, bool]:
        ended = role.run(*arguments)
        erased = messages_of(role.kafka.bootstrap_servers, role.pipeline.views)[-1].value() is None
        return ended.err, ended.code == 0 and erased and role.pipeline.rows("SELECT matter_id FROM activity") == ["m-2"]

    return work


def reread(role: Role) -> tuple[str, bool]:
    """Read again what was read before."""
    role.pipeline.catch_up()
    return reading("reread", "--all")(role)


def serve(role: Role) -> tuple[str, bool]:
    """Be ready, and erase."""
    with serving(role.folder / "log.duckdb", settings=role.settings) as served:
        served.wait_until(200)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while messages_of(role.kafka.bootstrap_servers, role.pipeline.views)[-1].value() is not None:
            assert time.monotonic() < deadline
    return "", role.pipeline.rows("SELECT matter_id FROM activity") == ["m-2"]


def verify_purge(role: Role) -> tuple[str, bool]:
    """Look through both topics, after everything was read and erased."""
    role.pipeline.catch_up()
    ended = role.run("verify-purge", "m-3")
    return ended.err, ended.code == 0


def restore(role: Role) -> tuple[str, bool]:
    """Ask the topics for all that came since the backup."""
    role.pipeline.catch_up()
    assert role.run("backup").code == 0
    ended = role.run("restore")
    return ended.err, ended.code == 0


def status(role: Role) -> tuple[str, bool]:
    """Know the lag of both topics."""
    role.pipeline.catch_up()
    ended = role.run("status", "--json")
    return ended.err, [each["lag"] for each in json.loads(ended.text)["positions"]] == [0, 0]


def export(role: Role) -> tuple[str, bool]:
    """Write into the manifest where the topics end."""
    role.pipeline.catch_up()
    ended = role.run("export", "--output", "extract.csv")
    manifest = json.loads((role.folder / "extract.csv.manifest.json").read_text(encoding="utf-8"))
    return json.dumps(manifest), ended.code == 0 and "RightMissing" not in json.dumps(manifest)


def command(*arguments: str) -> Work:
    """End with exit code 0."""

    def work(role: Role) -> tuple[str, bool]:
        ended = role.run(*arguments)
        return ended.err, ended.code == 0

    return work


WORK: Final[dict[str, Work]] = {
    "emit views": emit_views,
    "emit deletions": emit_deletions,
    "consume": reading("consume", "--until-caught-up"),
    "serve": serve,
    "reread": reread,
    "rebuild": reading("rebuild"),
    "verify-purge": verify_purge,
    "restore": restore,
    "status": status,
    "export": export,
    "topics create": command("topics", "create", "--partitions", "1"),
    "topics check": command("topics", "check"),
}
# One command of each row: what others of the row lack they are told by the same code.
EACH_RIGHT: Final = [
    pytest.param(
        name, right, id=f"{name.replace(' ', '-')}-{right.operation}-{right.resource.partition('}')[2] or 'cluster'}"
    )
    for name in ("emit views", "emit deletions", "consume", "verify-purge", "status", "topics create", "topics check")
    for right in RIGHTS[name]
]
USERS: Final = tuple(f"user-{number}" for number in range(len(WORK) + len(EACH_RIGHT) + 8))
_numbers: Final = count()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, kafka_jars: Path) -> Iterator[LocalKafka]:  # noqa: ARG001 - skips without
    """A broker that asks for rights."""
    with LocalKafka(tmp_path_factory.mktemp("kafka"), users=USERS) as running:
        yield running


@pytest.fixture
def role(guarded: LocalKafka, topic_prefix: str, tmp_path: Path) -> Role:
    """A user without any right, and nothing on its topics."""
    return Role(guarded, USERS[next(_numbers)], Topics(topic_prefix), tmp_path)


def prepare(role: Role, name: str) -> None:
    """Put a view of a deleted matter and one of another into the topics, unless the command makes them."""
    if name == "topics create":
        return
    make_topics(role.kafka.bootstrap_servers, role.topics)
    role.pipeline.write(a_view(matter_id="m-1"), a_view(matter_id="m-2"), a_deletion(matter_id="m-1"))


@pytest.mark.parametrize("name", WORK)
def test_each_command_does_its_work_with_exactly_the_rights_of_the_table(role: Role, name: str) -> None:
    prepare(role, name)
    for right in RIGHTS[name]:
        role.give(right)
    told, is_done = WORK[name](role)
    assert is_done, told
    assert "kafka-acls" not in told


@pytest.mark.parametrize(("name", "missing"), EACH_RIGHT)
def test_each_right_is_needed_or_optional_and_is_named_when_it_is_missing(
    role: Role, name: str, missing: Right
) -> None:
    """By the operation and by what it is on; an optional one costs nothing but what the document says."""
    prepare(role, name)
    for right in RIGHTS[name]:
        if right != missing:
            role.give(right)
    told, is_done = WORK[name](role)
    assert f"needs {missing.operation} on {missing.resource.format(role.topics.prefix)}" in told
    assert is_done == missing.optional, told
    assert "Unknown topic" not in told
    assert "Check that Kafka is up" not in told


def test_a_web_app_cannot_send_a_deletion_and_the_deletion_service_no_view(role: Role) -> None:
    """A service that may write views cannot purge anything."""
    prepare(role, "emit views")
    for right in RIGHTS["emit views"]:
        role.give(right)
    told, is_done = emit_deletions(role)
    assert (is_done, "needs Write on topic" in told, role.pipeline.deletions in told) == (False, True, True)
    service = Role(role.kafka, USERS[next(_numbers)], role.topics, role.folder)
    for right in RIGHTS["emit deletions"]:
        service.give(right)
    told, is_done = emit_views(service)
    assert (is_done, "needs Write on topic" in told, role.pipeline.views in told) == (False, True, True)


def test_the_rest_is_checked_where_a_right_is_missing(role: Role) -> None:
    """What is found outweighs what could not be asked."""
    make_topics(role.kafka.bootstrap_servers, role.topics, cleanup_policy="delete")
    for right in RIGHTS["topics check"]:
        if right.resource != "the cluster":
            role.give(right)
    ended = role.run("topics", "check", "--json")
    assert ended.code == 1
    assert "cleanup.policy" in {each["setting"] for each in json.loads(ended.text)}
    assert "NOT CHECKED  the Kafka user of this process needs DescribeConfigs on the cluster" in ended.err


def test_a_right_that_is_taken_away_ends_reading_with_its_name(role: Role) -> None:
    """A consumer that may no longer read says so; with the right back it goes on where it stood."""
    prepare(role, "consume")
    for right in RIGHTS["consume"]:
        role.give(right)
    with consuming(role.folder / "log.duckdb", settings=role.settings) as process:
        admin = admin_of(role.kafka.bootstrap_servers)
        read = AclBindingFilter(
            ResourceType.TOPIC,
            role.pipeline.deletions,
            ResourcePatternType.LITERAL,
            f"User:{role.user}",
            "*",
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        for future in admin.delete_acls([read]).values():
            assert future.result(PATIENCE_SECONDS)
        role.pipeline.write(a_deletion(matter_id="m-2"))
        assert process.wait(PATIENCE_SECONDS) == 1
        assert process.stderr is not None
        assert f"needs Read on topic {role.pipeline.deletions}" in process.stderr.read().decode()
    role.give(Right("Read", RESOURCES[1]))
    assert role.run("consume", "--until-caught-up").code == 0
    assert role.pipeline.rows("SELECT matter_id FROM activity") == []


def test_a_group_that_is_refused_does_not_hold_up_reading_again(role: Role) -> None:
    """A commit that waits for the group's broker would hold up what is read next, until Kafka counts as away."""
    prepare(role, "consume")
    for right in RIGHTS["consume"]:
        if right.resource != RESOURCES[2]:
            role.give(right)
    client = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}
    source = KafkaSource(
        role.kafka.users_servers, role.topics, client | {"sasl.username": role.user, "sasl.password": role.user}
    )
    with contextlib.closing(source):
        source.start({})
        fetched = until_read(source, 3)
        source._group = GroupOffsets("g")
        source.commit(fetched)
        source.start({(move.topic, move.partition): move.ends for move in fetched})


def until_read(source: KafkaSource, records: int) -> list[Move]:
    """Fetch this many records and return all moves."""
    moves: list[Move] = []
    while records > 0:
        fetched = source.fetch(records, 1.0)
        records -= len(fetched.records)
        moves += fetched.moves
    return moves


def test_a_wrong_password_is_named_as_such(role: Role) -> None:
    """Long before Kafka counts as away, and no database is left that nobody has filled."""
    settings = role.settings | {"MATTERLOG_KAFKA_SASL_PASSWORD": "wrong", "MATTERLOG_BROKER_TIMEOUT_SECONDS": "60"}
    for command in (("consume", "--until-caught-up"), ("topics", "create")):
        began = time.monotonic()
        ended = run(*command, cwd=role.folder, settings=settings)
        assert time.monotonic() - began < PATIENCE_SECONDS / 2
        refused = f"matterlog: Kafka at {role.kafka.users_servers} refuses the user's name or password: "
        assert (ended.code, ended.err.splitlines()[-1].startswith(refused)) == (1, True), ended.err
    assert list(role.folder.iterdir()) == []


def test_each_command_that_asks_kafka_is_in_the_table() -> None:
    """A command has a row when it takes the brokers' address, but for one that shows settings."""
    assert set(RIGHTS) == set(WORK) == commands_with_brokers() - {"settings"}


def commands_with_brokers() -> set[str]:
    """The commands that take the brokers' address."""
    group = typer.main.get_command(app)
    context = group.make_context("matterlog", [], resilient_parsing=True)
    found = set()
    for name in _NAMES:
        loaded = group.get_command(context, name)  # type: ignore[attr-defined]  # it is a group
        for path, each in [
            (name, loaded),
            *((f"{name} {sub}", sub_command) for sub, sub_command in getattr(loaded, "commands", {}).items()),
        ]:
            if any("--bootstrap-servers" in parameter.opts for parameter in each.params):
                found.add(path)
    return found
