"""The servers that docs/producers.md names: what a web app emits in their workers arrives, however workers end."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from matterlog.schemas import Topics
from testbed.apache_kafka.broker import free_ports
from tests.topics_at_rest import make_topics, messages_of

pytestmark = pytest.mark.process

ROOT: Final = Path(__file__).parents[2]
WAIT_SECONDS: Final = 60.0
REQUESTS: Final = 12
APP: Final = "tests.producers.web_app"


@pytest.fixture
def topics(kafka: str, topic_prefix: str) -> Topics:
    """The topics of one test, made."""
    topics = Topics(topic_prefix)
    make_topics(kafka, topics)
    return topics


@pytest.fixture
def environment(kafka: str, topics: Topics, tmp_path: Path) -> dict[str, str]:
    """What the web app is told; its producer is made before the server forks, if the server imports it then."""
    told = {"APP_KAFKA": kafka, "APP_PREFIX": topics.prefix, "APP_FOLDER": str(tmp_path), "APP_MADE_AT": "import"}
    return {**os.environ, **told, "PYTHONPATH": str(ROOT)}


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], ending: int = signal.SIGTERM) -> Iterator[None]:
    """A server, told to end when the block does, and waited for."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield
        process.send_signal(ending)
        said, _ = process.communicate(timeout=WAIT_SECONDS)
    finally:
        process.kill()
        process.communicate()
    assert b"Traceback" not in said, said.decode()


def answer(port: int) -> str:
    """What the server answers, once it listens."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=WAIT_SECONDS) as response:
                return str(response.read().decode().strip('"'))
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def arrived(servers: str, topics: Topics) -> list[str]:
    return sorted(bytes(message.key() or b"").decode() for message in messages_of(servers, topics.matter_views.name))


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_gunicorns_workers_lose_nothing(
    kafka: str, topics: Topics, environment: Mapping[str, str], worker: str, preload: tuple[str, ...]
) -> None:
    """Also those that end after five requests."""
    [port] = free_ports(1)
    flags = ["--bind", f"127.0.0.1:{port}", "--workers", "2", "--worker-class", worker, "--max-requests", "5"]
    # On a busy machine gunicorn itself waits that long for gevent's workers, whatever the app.
    flags += ["--graceful-timeout", "10"]
    command = [sys.executable, "-m", "gunicorn", *flags, *preload, "--no-control-socket", f"{APP}:application"]
    with running(command, environment):
        emitted = sorted(answer(port) for _ in range(REQUESTS))
    assert arrived(kafka, topics) == emitted


@pytest.mark.parametrize("threads", [(), ("--enable-threads",)], ids=["", "threads"])
def test_uwsgis_workers_lose_nothing(
    kafka: str, topics: Topics, environment: Mapping[str, str], threads: tuple[str, ...]
) -> None:
    """The app is imported before the fork, which runs none of Python's hooks."""
    uwsgi = Path(sys.executable).parent / "uwsgi"
    if not uwsgi.exists():
        pytest.skip("uWSGI is not installed here: it is compiled (pip install uwsgi), so it is in no lock file")
    [port] = free_ports(1)
    flags = ["--http-socket", f"127.0.0.1:{port}", "--master", "--processes", "2", "--die-on-term", "--need-app"]
    command = [str(uwsgi), *flags, *threads, "--virtualenv", sys.prefix, "--module", f"{APP}:application"]
    with running(command, environment):
        emitted = sorted(answer(port) for _ in range(REQUESTS))
    assert arrived(kafka, topics) == emitted


def test_celerys_processes_lose_nothing(
    kafka: str, topics: Topics, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """Each of them ends after one task, without ``atexit``."""
    calls = f"from {APP} import visit; print(*(visit.delay().id for _ in range(8)))"
    called = subprocess.run([sys.executable, "-c", calls], cwd=ROOT, env=environment, capture_output=True, check=True)
    results = [tmp_path / f"celery-task-meta-{each}" for each in called.stdout.decode().split()]
    assert len(results) == 8
    flags = ["--pool", "prefork", "--concurrency", "2", "--max-tasks-per-child", "1"]
    command = [sys.executable, "-m", "celery", "--app", f"{APP}:celery_app", "worker", *flags]
    with running(command, environment):
        deadline = time.monotonic() + WAIT_SECONDS
        while not all(each.exists() for each in results) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert len(arrived(kafka, topics)) == 8


def test_a_lifespan_of_fastapi_closes_what_it_opened(
    kafka: str, topics: Topics, environment: Mapping[str, str]
) -> None:
    """Emitting needs no thread; a deletion, which waits, has one."""
    [port] = free_ports(1)
    command = [sys.executable, "-m", "uvicorn", f"{APP}:fastapi_app", "--port", str(port)]
    with running(command, environment):
        emitted = sorted(answer(port) for _ in range(REQUESTS))
    assert arrived(kafka, topics) == emitted
    assert len(messages_of(kafka, topics.matter_deletions.name)) == REQUESTS
