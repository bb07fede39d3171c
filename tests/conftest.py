"""What all tests share: an environment without the project's variables, and a real Kafka on demand."""

import functools
import gc
import hashlib
import os
import secrets
import ssl
from collections.abc import Generator, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import hypothesis
import pytest

from matterlog.report.log import giving_way
from testbed.apache_kafka import KafkaUnavailable, LocalKafka, any_kafka, fetch_jars
from testbed.apache_kafka.choice import VARIABLE
from testbed.apache_kafka.shared import shared_kafka
from testbed.no_pandas import do_without_pandas

NAMED_KAFKA: Final = pytest.StashKey[str | None]()
# A clock decides nothing: the machines are shared.
hypothesis.settings.register_profile("matterlog", deadline=None)
hypothesis.settings.load_profile("matterlog")

do_without_pandas()
# Each HTTP client without a context of its own makes one, and reads every certificate of the machine for it.
ssl.create_default_context = functools.cache(ssl.create_default_context)  # type: ignore[assignment]

# Marker -> the fixtures whose users get it.
NEEDED_BY: Final = {
    "broker": {"kafka", "kafka_jars", "local_kafka", "embedded"},
    "browser": {"chromium"},
    "postgresql": {"lakes"},
}
# Marker -> the modules from which a file of such tests takes something.
TAKEN_FROM: Final = {"process": {"testbed.command", "testbed.served", "tests.consumers.processes"}}
# A lake's extensions are for one version of DuckDB.
DUCKDB: Final = version("duckdb")
DUCKLAKE: Final = version("duckdb-extension-ducklake")
KAFKA_STORY: Final = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Read the one variable that is meant for the tests, before they are cut off from the environment."""
    config.stash[NAMED_KAFKA] = os.environ.get(VARIABLE)
    config.stash[KAFKA_STORY] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with what it needs, so that ``make check`` can leave out what not every machine has.

    Where there is no DuckLake for this DuckDB, the tests with a lake are skipped. The order of files mixes those that
    wait for a broker with those that compute, so that the processors stay busy.
    """
    items.sort(key=lambda item: hashlib.sha256(item.nodeid.partition("::")[0].encode()).digest())
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        names = vars(getattr(item, "module", item))
        taken_from = {getattr(each, "__module__", None) for each in names.values()}
        for marker, needed in NEEDED_BY.items():
            if fixtures & needed:
                item.add_marker(marker)
        for marker, modules in TAKEN_FROM.items():
            if taken_from & modules:
                item.add_marker(marker)
        if DUCKLAKE != DUCKDB and item.get_closest_marker("postgresql"):
            item.add_marker(pytest.mark.skip(f"a lake needs DuckDB {DUCKLAKE}, and this is DuckDB {DUCKDB}"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from what lives until the end: half a million objects of modules and tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Have a worker's Kafka told by the process that tells the result."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["kafka_story"] = session.config.stash[KAFKA_STORY]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect what a worker that ended told of its Kafka; one that crashed told nothing."""
    node.config.stash[KAFKA_STORY].extend(getattr(node, "workeroutput", {}).get("kafka_story", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell which Kafka the tests ran against, and why not another."""
    if config.stash[KAFKA_STORY]:
        terminalreporter.section("Apache Kafka")
        for line in config.stash[KAFKA_STORY]:
            terminalreporter.line(line)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the caller's settings, so that a test sees only what it sets itself."""
    for name in list(os.environ):
        if name.startswith("MATTERLOG_") or name == "SCHEMA_REGISTRY_URL":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _nobody_gives_way() -> Iterator[None]:
    """Give readers the usual priority: on a machine with other work the lowest gets nothing for minutes."""
    with patch.object(giving_way, "NICENESS", 0):
        yield


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap servers of one broker that all tests share, those of other workers too."""
    named, story = pytestconfig.stash[NAMED_KAFKA], pytestconfig.stash[KAFKA_STORY]
    try:
        if named or not hasattr(pytestconfig, "workerinput"):
            using = any_kafka(named, tmp_path_factory.mktemp("kafka"), story.append)
        else:
            folder = tmp_path_factory.getbasetemp().parent / "kafka"
            folder.mkdir(exist_ok=True)
            using = shared_kafka(folder, story.append)
        with using as servers:
            yield servers
    except KafkaUnavailable as error:
        pytest.skip(f"no Apache Kafka: {error.reason}")


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """The folder of Kafka's jars, for tests that cannot do with a broker of somebody else."""
    try:
        return fetch_jars()
    except KafkaUnavailable as error:
        pytest.skip(f"no Apache Kafka: {error.reason}")


@pytest.fixture
def local_kafka(tmp_path: Path, kafka_jars: Path) -> Iterator[LocalKafka]:  # noqa: ARG001 - skips without
    """A running broker of the test's own, to stop, kill and look into. Nobody needs its data afterwards."""
    running = LocalKafka(tmp_path / "kafka")
    running.start()
    try:
        yield running
    finally:
        running.kill()


@pytest.fixture
def topic_prefix() -> str:
    """Begins the names of a test's topics, groups and transactional ids, so that tests can share a broker."""
    return f"t-{secrets.token_hex(4)}-"
