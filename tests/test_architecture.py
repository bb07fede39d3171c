"""The architecture, held: who may import what, who may touch what, and how large things may grow."""

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

import matterlog
from matterlog.schemas import MatterlogError

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("schemas", "producers", "consumers", "report", "app")
# Each package and those below it that it may import.
MAY_IMPORT: Final = {
    "schemas": {"schemas"},
    "producers": {"producers", "schemas"},
    "consumers": {"consumers", "schemas"},
    "report": {"report", "schemas"},
    "app": {"app", "producers", "consumers", "report", "schemas"},
}
# The rooms of a folder: each may import those before it, and none behind it.
ROOMS: Final = {
    "consumers": ("reading", "database", "recovery", "erasure", "lake"),
    "report": ("log", "extracts", "engagement", "handover", "purges", "charts", "web"),
    "schemas": ("storage",),
    "report/web": ("identity", "figures", "extracts", "http", "reports", "pages"),
    "app": ("topics", "owner", "files", "terminal", "service", "demo", "commands"),
}
MAX_MODULES_A_FOLDER: Final = 12
SPEAK_TO_KAFKA: Final = {
    "producers/clients.py",
    "producers/kafka.py",
    "producers/tombstone_producer.py",
    "consumers/reading/group_offsets.py",
    "consumers/reading/kafka.py",
    "consumers/reading/kafka_topics.py",
    "consumers/reading/messages.py",
    "consumers/reading/schema_registry.py",
    "app/demo/embedded_broker.py",
    "app/topics/topics_admin.py",
}
# The last two, and the schedule, for a type and for errors alone.
SPEAK_TO_DUCKDB: Final = {
    "schemas/storage/lake.py",
    "consumers/database/log_store.py",
    "consumers/database/store.py",
    "consumers/database/readers.py",
    "consumers/database/transaction.py",
    "consumers/database/opening.py",
    "consumers/database/dead_letters.py",
    "consumers/erasure/tombstones.py",
    "consumers/database/recall_list.py",
    "consumers/erasure/erase.py",
    "consumers/erasure/erase_schedule.py",
    "consumers/recovery/recovery.py",
    "consumers/recovery/coverage.py",
    "consumers/recovery/reread.py",
    "consumers/recovery/upgrade.py",
    "consumers/database/erase_steps.py",
    "consumers/erasure/verify_steps.py",
    "report/log/reader.py",
    "report/purges/receipts.py",
    "report/purges/held_rows.py",
    "report/purges/rehearsal.py",
    "report/extracts/copying.py",
    "report/handover/differences.py",
    "report/extracts/extracts.py",
    "report/extracts/formats.py",
    "report/extracts/reading_back.py",
    "report/handover/handing_out.py",
    "report/log/snapshot.py",
    "report/extracts/workbook.py",
    "report/engagement/engagement.py",
    "report/engagement/engagement_files.py",
    "app/owner/owned_store.py",
    "app/owner/owner.py",
}
SPEAK_TO_POSTGRESQL: Final = {"report/handover/lake_register.py"}
# This room may speak to both.
LAKE: Final = "consumers/lake/"
# Names that say nothing about what is inside.
FORBIDDEN_NAMES: Final = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}
MAX_FUNCTION_LINES: Final = 60
MAX_FILE_LINES: Final = 400


@dataclass(frozen=True, slots=True)
class Source:
    """A module of ours: ``path`` is its path, such as ``consumers/database/store.py``."""

    path: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The package that it belongs to."""
        return self.path.partition("/")[0]

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        """Every node of these kinds."""
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))

    @property
    def imports(self) -> set[str]:
        """The full names of what it imports, wherever in the file; the linter sees to it that none is relative."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        return found

    @property
    def modules(self) -> set[str]:
        """The paths of the modules of ours that it imports."""
        names = {name.removeprefix("matterlog.") for name in self.imports if name.startswith("matterlog.")}
        return {path for name in names if (path := _module_of(name)) is not None}


def _module_of(name: str) -> str | None:
    """Return the path of the module that a dotted name is, or stands in."""
    while name:
        stem = name.replace(".", "/")
        if found := next((path for path in (f"{stem}.py", f"{stem}/__init__.py") if (ROOT / path).is_file()), None):
            return found
        name = name.rpartition(".")[0]
    return None


def _source(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    return Source(path.relative_to(ROOT).as_posix(), text, ast.parse(text))


SOURCES: Final = [_source(path) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.path)


def users_of(library: str) -> set[str]:
    """The modules that import a library."""
    return {source.path for source in SOURCES if any(name.split(".")[0] == library for name in source.imports)}


def test_there_is_something_to_hold() -> None:
    """Every package is looked at, in all of its folders."""
    assert {source.package for source in SOURCES} == set(PACKAGES)
    assert any(source.path.startswith("app/commands/") for source in SOURCES)
    assert "app/owner/channel.py" in next(s for s in SOURCES if s.path == "app/owner/access.py").modules
    assert "matterlog.app.settings.Settings" in next(s for s in SOURCES if s.path == "app/commands/emit.py").imports


@each_source
def test_imports_go_down_only(source: Source) -> None:
    """And producers, consumers and report never import one another."""
    ours = {name.split(".")[1] for name in source.imports if name.startswith("matterlog.")}
    assert ours <= MAY_IMPORT[source.package]


def _entry(folder: str, path: str) -> str:
    """What stands in a folder under a path: a module, or the room that holds it."""
    return path.removeprefix(f"{folder}/").partition("/")[0]


def _entries(folder: str) -> dict[str, set[str]]:
    """What stands in a folder -> what else in that folder it imports."""
    found: dict[str, set[str]] = {}
    for source in SOURCES:
        if source.path.startswith(f"{folder}/"):
            here = _entry(folder, source.path)
            inside = {_entry(folder, path) for path in source.modules if path.startswith(f"{folder}/")}
            found.setdefault(here, set()).update(inside - {here})
    return found


FOLDERS: Final = sorted({source.path.rpartition("/")[0] for source in SOURCES})


@pytest.mark.parametrize("folder", FOLDERS)
def test_there_is_no_circle_of_files_or_of_rooms(folder: str) -> None:
    """In no folder do two things need each other, however far around."""
    TopologicalSorter(_entries(folder)).prepare()


@pytest.mark.parametrize("folder", ROOMS)
def test_rooms_stand_in_their_order(folder: str) -> None:
    """A room imports none that stands behind it."""
    rooms = ROOMS[folder]
    entries = _entries(folder)
    assert {name for name in entries if not name.endswith(".py")} == set(rooms)
    assert not {room: behind for i, room in enumerate(rooms) if (behind := entries[room] & set(rooms[i + 1 :]))}


@pytest.mark.parametrize("folder", sorted(set(FOLDERS) - {"app/commands"}))
def test_a_room_is_seen_at_a_glance(folder: str) -> None:
    """Not too many modules side by side; the commands are one file each, and as many as there are."""
    modules = [s for s in SOURCES if s.path.rpartition("/")[0] == folder and not s.path.endswith("/__init__.py")]
    assert len(modules) <= MAX_MODULES_A_FOLDER


def test_these_modules_alone_speak_to_kafka() -> None:
    """Who writes events or tombstones, who reads or asks about topics, who makes them, and the broker in memory."""
    assert users_of("confluent_kafka") == SPEAK_TO_KAFKA


def test_these_modules_alone_speak_to_duckdb() -> None:
    """The writer and what it owns; the reader and what it owns; the lake's room."""
    assert {path for path in users_of("duckdb") if not path.startswith(LAKE)} == SPEAK_TO_DUCKDB


def test_these_modules_alone_speak_to_postgresql() -> None:
    """The lake's room, the register of extracts on a lake, and the server for trying out."""
    assert {path for path in users_of("psycopg") if not path.startswith(LAKE)} == SPEAK_TO_POSTGRESQL


def test_the_environment_is_read_in_the_app_alone() -> None:
    """One composition root; everybody else is told by arguments."""
    readers = {
        source.package for source in SOURCES if re.search(r"\bos\.(environ|getenv)\b|import environ", source.text)
    }
    assert readers == {"app"}


def test_the_namespace_belongs_to_nobody() -> None:
    """Five folders share it, and a link to each says so to tools."""
    assert sorted(path.name for path in (ROOT / "src" / "matterlog").iterdir()) == sorted(PACKAGES)
    assert list(matterlog.__path__) == [str(ROOT / "src" / "matterlog")]


def test_no_class_of_ours_exists_twice() -> None:
    """From the root, `import schemas` would find the same files under a second name; the linter bans it."""
    assert not set(PACKAGES) & set(sys.modules)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_that_it_is_typed(package: str) -> None:
    """Or a type checker of its users would not look."""
    assert (ROOT / package / "py.typed").read_bytes() == b""
    assert (ROOT / package / "__init__.py").exists()


@each_source
def test_every_module_says_what_it_is_for(source: Source) -> None:
    """In its first line, and under a name that says something."""
    assert ast.get_docstring(source.tree)
    assert not FORBIDDEN_NAMES & set(source.path.removesuffix(".py").split("/"))


def test_a_name_has_one_home() -> None:
    """Packages alone offer what stands elsewhere: a module that did would give it a second one."""
    assert not [s.path for s in SOURCES if "\n__all__ " in s.text and not s.path.endswith("/__init__.py")]


@each_source
def test_files_and_functions_stay_small(source: Source) -> None:
    """What separates admired code from the rest is not its median, but its tail."""
    assert source.text.count("\n") < MAX_FILE_LINES
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in source.nodes(ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 >= MAX_FUNCTION_LINES
    }
    assert not long


@each_source
def test_whoever_catches_everything_says_why(source: Source) -> None:
    """On the line, or on the next one."""
    lines = source.text.splitlines()
    broad = [
        node.lineno
        for node in source.nodes(ast.ExceptHandler)
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _raises_again(node)
    ]
    assert not [number for number in broad if not any("# " in line for line in lines[number - 1 : number + 1])]


def _is_broad(handler: ast.ExceptHandler) -> bool:
    names = (
        {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else {"Exception"}
    )
    return bool(names & {"Exception", "BaseException"})


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Whether its last statement hands on what was caught, as it is or as an error of ours."""
    return isinstance(handler.body[-1], ast.Raise)


def modules() -> Iterator[ModuleType]:
    """Every module of ours, imported."""
    for found in pkgutil.walk_packages(matterlog.__path__, "matterlog."):
        yield importlib.import_module(found.name)


def errors() -> list[type[MatterlogError]]:
    """Every class of error that we define."""
    found = {
        thing
        for module in modules()
        for thing in vars(module).values()
        if inspect.isclass(thing) and issubclass(thing, MatterlogError) and thing.__module__ == module.__name__
    }
    return sorted(found, key=lambda error: error.__qualname__)


def tree_of(package: str) -> str:
    """The tree of a package's errors, as its module draws it."""
    return importlib.import_module(f"matterlog.{package}.errors").__doc__ or ""


@pytest.mark.parametrize("error", errors(), ids=lambda error: error.__qualname__)
def test_every_error_stands_in_the_tree_of_its_package_and_says_what_happened(error: type[MatterlogError]) -> None:
    """Or in that of a package above, which says where it comes from; its docstring is its default text."""
    package = error.__module__.split(".")[1]
    own = re.search(rf"^\W*{error.__name__}\b", tree_of(package), re.MULTILINE)
    above = [re.search(rf"── {error.__name__} +\({package}\)", tree_of(each)) for each in PACKAGES]
    assert own or any(above)
    assert error.__doc__
    assert error.__doc__.splitlines()[0].endswith((".", "?"))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_in_an_errors_tree_is_an_error(package: str) -> None:
    """A tree that is not kept misleads."""
    drawn = re.findall(r"── (\w+)", tree_of(package))
    assert drawn
    assert set(drawn) <= {error.__name__ for error in errors()}
