"""Kafka's jars, which Maven fetches once into the user's cache folder."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
POM: Final = HERE / "pom.xml"
# Kafka 4 brokers need at least this version.
OLDEST_JAVA: Final = 17
# Less than pytest's timeout for one test, so that the reason is reported.
FETCH_TIMEOUT_SECONDS: Final = 240


def _kafka_version() -> str:
    _, _, rest = POM.read_text("utf-8").partition("<kafka.version>")
    return rest.partition("</kafka.version>")[0]


KAFKA_VERSION: Final = _kafka_version()


class KafkaUnavailable(Exception):
    """This machine cannot run this Kafka."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def fetch_jars() -> Path:
    """Return the folder of Kafka's jars. Fetch them into the user's cache first if they are not there."""
    find_java()
    return made_once(f"apache-kafka-{KAFKA_VERSION}", _run_maven)


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of the user's cache. Make it first if it is not there.

    Several processes may call this at once: one makes it, the others wait, and none sees an incomplete folder.
    """
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f"{name}.lock"), "w") as lock:  # noqa: PTH123 - flock wants a handle
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix=f"{name}.", dir=folder.parent) as unfinished:
                make(made := Path(unfinished, "made"))
                made.rename(folder)
    return folder


def cache_folder() -> Path:
    """Return the folder for downloads that are kept between runs, outside the repository."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matterlog"


@cache
def find_java() -> tuple[str, str]:
    """Return the path of a Java that can run Kafka, from JAVA_HOME, otherwise from the PATH, and its version."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        raise KafkaUnavailable("Java is not installed")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', answer)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise KafkaUnavailable(f"{java} is older than Java {OLDEST_JAVA}")
    return java, answer.partition("\n")[0]


def _run_maven(output: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable("Maven is not installed, and the jars are not in the cache")
    command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={output}"]
    try:
        subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=True, timeout=FETCH_TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise KafkaUnavailable(f"Maven took more than {FETCH_TIMEOUT_SECONDS} s to fetch the jars") from error
    except subprocess.CalledProcessError as error:
        raise KafkaUnavailable(f"Maven could not fetch the jars: {_first_error(error.stdout)}") from error


def _first_error(maven_output: str) -> str:
    errors = re.findall(r"\[.*ERROR.*?\] *(.+)", maven_output)
    return errors[0] if errors else "no reason given"
