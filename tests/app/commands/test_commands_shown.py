"""docs/commands.md shows every command of an operator with what it prints. ``make outputs`` writes that anew."""

import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
import typer

from matterlog.app.commands import app
from matterlog.app.demo.embedded_broker import embedded_broker
from matterlog.consumers.lake.rights import rights_to_grant
from matterlog.producers import KafkaProducer, MatterViewProducer, Message
from matterlog.schemas import Topics
from testbed.events import a_view
from tests.app.commands.operators_terminal import Terminal
from tests.app.commands.test_lake import QUIET, Installation
from tests.consoles import consoles, same_output, with_outputs
from tests.consumers.conftest import _forked_steps  # noqa: F401 - a fixture
from tests.consumers.contract.stores import Lakes
from tests.topics_at_rest import wait_for_partitions

DOCUMENT: Final = Path(__file__).parents[3] / "docs" / "commands.md"
_FIRST_ID: Final = UUID("018f0000-0000-7000-8000-000000000000")
WRITES: Final = "WRITE_OUTPUTS" in os.environ
# Commands of analysts and developers, and what tries things out: other documents show them.
FOR_OTHERS: Final = {
    *("matterlog verify-extract", "matterlog diff", "matterlog engagement", "matterlog plot", "matterlog series show"),
    *("matterlog emit views", "matterlog broker", "matterlog demo"),
}
ONE_LOG: Final = (
    *("Settings", "Reading", "Dead letters", "Backups", "A deletion and its receipt"),
    *("Restoring, rebuilding, reading again", "Accounts", "The admin site"),
)


def check(terminal: Terminal, *titles: str) -> None:
    """Run the commands of these sections in their order, and compare what they print with what is shown."""
    parts = re.split(r"^(?=## )", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = {part.splitlines()[0].removeprefix("## "): number for number, part in enumerate(parts)}
    for title in titles:
        section = parts[sections[title]]
        real = [(shown, terminal.output_of(shown)) for shown in consoles(section)]
        for shown, output in [] if WRITES else real:
            assert same_output(shown.output, output), f"{shown.command} prints this now. Run: make outputs\n{output}"
        parts[sections[title]] = with_outputs(section, (output for _, output in real))
    if WRITES:
        DOCUMENT.write_text("".join(parts), encoding="utf-8")


def send_views_and_a_dead_letter(broker: str) -> None:
    """Six views of two matters, and a message that is no event. Their IDs say in which partitions they are."""
    with KafkaProducer(broker) as transport:
        views = MatterViewProducer(transport)
        for number in range(6):
            changes = {"matter_id": f"M-{number % 2 + 1}", "user_id": f"U-{number % 3}"}
            views.emit_event(a_view(event_id=UUID(int=_FIRST_ID.int + number), **changes))
        topic, key = Topics().matter_views.name, str(_FIRST_ID)
        transport.send(Message(event_id=_FIRST_ID, topic=topic, key=key, value=b"not an event", headers=()))
        transport.flush(30)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a log and the present folder. Commands may set the mask of new files until the test ends."""
    monkeypatch.chdir(tmp_path)
    mask = os.umask(0o077)
    yield tmp_path
    os.umask(mask)


def test_the_commands_around_a_log_print_what_is_shown(here: Path) -> None:
    """From the first message to its deletion, and to a database that is made again."""
    with embedded_broker(Topics()) as broker:
        send_views_and_a_dead_letter(broker)
        settings = {
            "MATTERLOG_BOOTSTRAP_SERVERS": broker,
            "MATTERLOG_DATABASE": str(here / "log.duckdb"),
            "MATTERLOG_PORT": "0",
        }
        user = pwd.getpwuid(os.getuid()).pw_name
        written = {broker: "kafka:9092", f"│ {user} ": "│ matterlog ", f'"{user}"': '"matterlog"'}
        check(Terminal(here, settings, written), *ONE_LOG)


def test_the_commands_for_topics_print_what_is_shown(here: Path, kafka: str, topic_prefix: str) -> None:
    """By a real Kafka."""

    def wait() -> None:
        for topic in Topics(topic_prefix).both:
            wait_for_partitions(kafka, topic.name, 1)

    settings = {"MATTERLOG_BOOTSTRAP_SERVERS": kafka, "MATTERLOG_TOPIC_PREFIX": topic_prefix}
    check(Terminal(here, settings, {topic_prefix: ""}, wait), "Topics")


def test_the_commands_for_a_lake_print_what_is_shown(here: Path, lakes: Lakes) -> None:
    """A superuser does what the first one asks for."""
    installation = Installation(lakes)
    asked = iter([None])

    def grant() -> None:
        for _ in asked:
            for statement in rights_to_grant(installation.lake("consumer")):
                installation.superuser(statement)
            installation.superuser(QUIET.format(installation.database))

    written = {installation.roles["consumer"]: "matterlog_consumer", installation.database: "lake"}
    check(Terminal(here, installation.settings("consumer"), written, grant), "On a lake")


def leaves(command: Any, name: str = "matterlog") -> Iterator[str]:
    """Return the names of all commands below a command."""
    if not hasattr(command, "list_commands"):
        yield name
        return
    context = typer.Context(command)
    for each in command.list_commands(context):
        yield from leaves(command.get_command(context, each), f"{name} {each}")


def test_every_command_of_an_operator_is_shown() -> None:
    shown = [each.command for each in consoles(DOCUMENT.read_text(encoding="utf-8"))]
    known = set(leaves(typer.main.get_command(app)))
    assert known >= FOR_OTHERS
    for name in known - FOR_OTHERS:
        assert any(re.search(rf"(^|\| ){name}( |;|$)", command) for command in shown), name
