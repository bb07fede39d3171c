"""A Kafka broker as a process on this machine.

Rules:

1. The broker listens only on 127.0.0.1.
2. It writes everything below one directory. A restart with that directory finds the data again.
3. The ports stay the same for the life of the object, so that clients find a restarted broker.
4. The broker never outlives the process that started it, however that process ends. A watchdog has the read end
   of a pipe whose write end only the starter has, and kills the broker when the pipe closes.
5. Signals go to the broker's process ID, never to a name or a group.
"""

import hashlib
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from testbed.apache_kafka.broker import LOOPBACK, BrokerFailed, free_ports, require_free, wait_until_it_answers
from testbed.apache_kafka.jars import HERE, KAFKA_VERSION, fetch_jars, find_java, made_once
from testbed.apache_kafka.settings import rights_properties, server_properties

LOG4J_CONFIG: Final = HERE / "log4j2.properties"
CLUSTER_ID: Final = "bWF0dGVybG9nLXRlc3RzLg"  # any 16 bytes, URL-safe base64
JVM_OPTIONS: Final = (
    "-Xmx512m",
    # Start fast rather than run fast: one compiler tier, the simplest collector, no verification of trusted jars.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-BytecodeVerificationRemote",
)
# A formatted data directory, and the classes that a broker loads, as Java maps them into memory.
FORMATTED: Final = "formatted"
CLASSES: Final = "classes.jsa"
STOP_TIMEOUT_SECONDS: Final = 20.0
FORMAT_TIMEOUT_SECONDS: Final = 60.0
TAIL_LINES: Final = 20
NONE: Final[Mapping[str, str]] = MappingProxyType({})
# Reads one byte, which comes when the broker was stopped on purpose. If the starter died, the pipe ends without it
# and the watchdog kills the broker.
WATCHDOG: Final = "import os, sys; sys.stdin.buffer.read(1) or os.kill(int(sys.argv[1]), 9)"


class LocalKafka:
    """A node that is broker and controller. It runs from `start` until `stop` or `kill`."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        properties: Mapping[str, str] = NONE,
        users: Sequence[str] = (),
        node: int = 1,
        controller_ports: Mapping[int, int] | None = None,
    ) -> None:
        """Prepare a broker with its data below `directory`. Without `port`, the operating system picks one.

        `properties` are added to those of every test's broker. `users` sign in with their names as passwords, at
        `users_servers`, and may do what they have rights for. A `node` of several has the ports of all controllers.
        """
        self._more_properties = properties
        self._users = users
        self._node = node
        picked_port, controller_port, self._users_port = free_ports(3)
        self._controller_ports = controller_ports or {node: controller_port}
        self._port = port or picked_port
        self._directory = directory.resolve()
        self._broker: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def users_servers(self) -> str:
        """The address for clients that sign in."""
        return f"{LOOPBACK}:{self._users_port}"

    @property
    def log_dir(self) -> Path:
        """The folder of partition folders, `<topic>-<partition>/`, which contain the segment files."""
        return self._directory / "data"

    @property
    def log_file(self) -> Path:
        """The file of everything that the broker printed since its first start."""
        return self._directory / "kafka.log"

    @property
    def pid(self) -> int | None:
        """The broker's process ID while it runs, otherwise None."""
        return None if self._broker is None else self._broker.pid

    def __enter__(self) -> Self:
        """Start the broker."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the broker."""
        self.stop()

    def start(self) -> None:
        """Start the broker with the data in its directory and wait until it answers."""
        self.launch()
        self._wait_until_it_answers()

    def launch(self) -> None:
        """Start the broker without waiting for it: a node alone answers nobody while most others are away."""
        if self._broker is not None:
            raise BrokerFailed(f"{self.bootstrap_servers} is running already")
        prepared = _prepared()
        require_free(self._port)
        self._write_properties()
        if not self.log_dir.exists():
            self._copy_formatted(prepared / FORMATTED)
        self._launch(f"-XX:SharedArchiveFile={prepared / CLASSES}")

    def prepare(self, folder: Path) -> None:
        """Start and stop once, and fill a folder with what lets other brokers start in half the time."""
        self._write_properties()
        self._format()
        shutil.copytree(self.log_dir, folder / FORMATTED)
        self._launch(f"-XX:ArchiveClassesAtExit={folder / CLASSES}")
        self._wait_until_it_answers()
        self.stop()

    def _wait_until_it_answers(self) -> None:
        try:
            wait_until_it_answers(self.bootstrap_servers, between_tries=self.require_alive)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Shut the broker down cleanly. Kill it if that takes too long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the broker without any clean-up, as a power cut would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Keep the process from running. It keeps its connections, as a node that the network cuts off."""
        if self._broker is not None:
            self._broker.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process run again."""
        if self._broker is not None:
            self._broker.send_signal(signal.SIGCONT)

    def wait(self) -> int:
        """Wait until the broker exits and return its exit code."""
        return 0 if self._broker is None else self._broker.wait()

    def tail(self) -> str:
        """Return the last lines of the broker's log, without the frames of Java's stack traces."""
        lines = self.log_file.read_text("utf-8", errors="replace").splitlines()
        return "\n".join([each for each in lines if not each.startswith("\tat ")][-TAIL_LINES:])

    def _write_properties(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        properties = server_properties(
            bind=LOOPBACK,
            advertised=LOOPBACK,
            port=self._port,
            controller_ports=self._controller_ports,
            node=self._node,
        )
        if self._users:
            properties |= rights_properties(
                self._users,
                host=LOOPBACK,
                port=self._users_port,
                open_port=self._port,
                controller_port=self._controller_ports[self._node],
            )
        # Relative to the broker's working directory, since a properties file cannot contain every path.
        properties |= {"log.dirs": self.log_dir.name, **self._more_properties}
        lines = [f"{name}={value}\n" for name, value in properties.items()]
        (self._directory / "server.properties").write_text("".join(lines), "ascii")

    def _copy_formatted(self, formatted: Path) -> None:
        """Make the data directory from a formatted one, which is node 1's: number and name of another are its own."""
        shutil.copytree(formatted, self.log_dir)
        meta = self.log_dir / "meta.properties"
        lines = meta.read_text("ascii").splitlines()
        own = {"node.id": str(self._node), "directory.id": secrets.token_urlsafe(16)}
        kept = [line for line in lines if line.partition("=")[0] not in own]
        meta.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in own.items()), ""]), "ascii")

    def _format(self) -> None:
        tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "--cluster-id", CLUSTER_ID]
        with self.log_file.open("ab") as log:
            code = subprocess.run(
                [*_java(), *tool, "--config", "server.properties"],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=FORMAT_TIMEOUT_SECONDS,
                check=False,
            ).returncode
        if code != 0:
            raise BrokerFailed(f"Kafka could not format the data directory:\n{self.tail()}")

    def _launch(self, option: str) -> None:
        # In a new session, so that Ctrl-C in a terminal reaches only the starter, which then stops the broker.
        with self.log_file.open("ab") as log:
            self._broker = subprocess.Popen(
                [*_java(), option, "kafka.Kafka", "server.properties"],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WATCHDOG, str(self._broker.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def require_alive(self) -> None:
        """Raise BrokerFailed if the process has ended by itself."""
        if self._broker is not None and self._broker.poll() is not None:
            raise BrokerFailed(f"Kafka exited with code {self._broker.returncode}:\n{self.tail()}")

    def _end(self, how: signal.Signals) -> None:
        if self._broker is not None:
            self._broker.send_signal(how)
            self._broker.send_signal(signal.SIGCONT)
            try:
                self._broker.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self._broker.kill()
                self._broker.wait()
            self._broker = None
        if self._watchdog is not None:
            self._watchdog.communicate(b".")
            self._watchdog = None


def _java() -> list[str]:
    path, _ = find_java()
    return [path, *JVM_OPTIONS, "-cp", f"{fetch_jars()}/*", f"-Dlog4j2.configurationFile={LOG4J_CONFIG}"]


def _prepared() -> Path:
    """Return the folder with what a broker of this Java and this Kafka starts from."""
    _, version = find_java()
    java = hashlib.sha256(repr((version, JVM_OPTIONS)).encode()).hexdigest()[:12]
    return made_once(f"apache-kafka-{KAFKA_VERSION}-started-{java}", _prepare)


def _prepare(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as data:
        LocalKafka(Path(data)).prepare(folder)
