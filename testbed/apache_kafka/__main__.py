"""`python -m testbed.apache_kafka` runs a broker in the foreground until Ctrl-C or SIGTERM."""

import argparse
import contextlib
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from testbed.apache_kafka import BrokerFailed, KafkaUnavailable, LocalKafka


def main() -> int:
    """Run the broker; the exit code is 0 when it was asked to end, 1 when it could not run."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _ask_to_end)
    try:
        with contextlib.ExitStack() as stack:
            directory = arguments.directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            kafka = stack.enter_context(LocalKafka(directory, port=arguments.port))
            sys.stdout.write(f"bootstrap.servers={kafka.bootstrap_servers}\n")
            sys.stdout.flush()
            code = kafka.wait()
            sys.stderr.write(f"Kafka ended by itself with code {code}:\n{kafka.tail()}\n")
    except KeyboardInterrupt:
        return 0
    except (BrokerFailed, KafkaUnavailable) as error:
        sys.stderr.write(f"{error}\n")
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m testbed.apache_kafka", description=__doc__)
    parser.add_argument("--port", type=int, default=9092, help="port of 127.0.0.1 (default: %(default)s)")
    parser.add_argument("--directory", type=Path, help="where data is kept (default: a folder removed at the end)")
    return parser.parse_args()


def _ask_to_end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
