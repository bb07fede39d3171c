"""The architecture, held: who may import what, who may touch what, and how large things may grow."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
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
SPEAK_TO_KAFKA: Final = {
    "producers/kafka.py",
    "producers/tombstones.py",
    "consumers/kafka.py",
    "consumers/schema_registry.py",
    "app/embedded_broker.py",
    "app/topics_admin.py",
}
# The last two, and the schedule, for a type and for errors alone.
SPEAK_TO_DUCKDB: Final = {
    "consumers/store.py",
    "consumers/batch.py",
    "consumers/opening.py",
    "consumers/dead_letters.py",
    "consumers/tombstones.py",
    "consumers/recall.py",
    "consumers/erase_schedule.py",
    "consumers/recovery.py",
    "consumers/erase_steps.py",
    "consumers/verify_steps.py",
    "report/reader.py",
    "report/receipts.py",
    "report/recall.py",
    "report/rehearsal.py",
    "report/copying.py",
    "report/differences.py",
    "report/extracts.py",
    "report/handing_out.py",
    "report/snapshot.py",
    "report/workbook.py",
    "report/engagement.py",
    "report/engagement_files.py",
    "app/access.py",
    "app/owner.py",
}
# Names that say nothing about what is inside.
FORBIDDEN_NAMES: Final = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}
MAX_FUNCTION_LINES: Final = 60
MAX_FILE_LINES: Final = 400


@dataclass(frozen=True, slots=True)
class Source:
    """A module of ours: ``place`` is its path below the namespace, such as ``consumers/store.py``."""

    place: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The package that it belongs to."""
        return self.place.partition("/")[0]

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        """Every node of these kinds."""
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))

    @property
    def imports(self) -> set[str]:
        """The full names of the modules that it imports, wherever in the file."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {f"{self._origin(node)}.{alias.name}" for alias in node.names}
        return found

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        folders = ["matterlog", *self.place.split("/")][: -node.level]
        return ".".join([*folders, node.module] if node.module else folders)


def _source(path: Path, package: str) -> Source:
    text = path.read_text(encoding="utf-8")
    return Source(path.relative_to(ROOT / package / "matterlog").as_posix(), text, ast.parse(text))


SOURCES: Final = [
    _source(path, package)
    for package in PACKAGES
    for path in sorted((ROOT / package / "matterlog" / package).rglob("*.py"))
]
each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.place)


def users_of(library: str) -> set[str]:
    """The modules that import a library."""
    return {source.place for source in SOURCES if any(name.split(".")[0] == library for name in source.imports)}


def test_there_is_something_to_hold() -> None:
    """Every package is looked at, in all of its folders."""
    assert {source.package for source in SOURCES} == set(PACKAGES)
    assert any(source.place.startswith("app/commands/") for source in SOURCES)
    assert "matterlog.consumers.store.Store" in next(s for s in SOURCES if s.place == "app/access.py").imports
    assert "matterlog.app.settings.Settings" in next(s for s in SOURCES if s.place == "app/commands/emit.py").imports


@each_source
def test_imports_go_down_only(source: Source) -> None:
    """And producers, consumers and report never import one another."""
    ours = {name.split(".")[1] for name in source.imports if name.startswith("matterlog.")}
    assert ours <= MAY_IMPORT[source.package]


def test_these_modules_alone_speak_to_kafka() -> None:
    """One place that writes events, one tombstones, one that reads, one that makes topics, and the broker in memory."""
    assert users_of("confluent_kafka") == SPEAK_TO_KAFKA


def test_these_modules_alone_speak_to_duckdb() -> None:
    """The writer and what it owns; the reader and what it owns."""
    assert users_of("duckdb") == SPEAK_TO_DUCKDB


def test_the_environment_is_read_in_the_app_alone() -> None:
    """One composition root; everybody else is told by arguments."""
    readers = {
        source.package for source in SOURCES if re.search(r"\bos\.(environ|getenv)\b|import environ", source.text)
    }
    assert readers == {"app"}


def test_the_namespace_belongs_to_nobody() -> None:
    """Five folders share it, so none may make it a package of its own."""
    assert not list(ROOT.glob("*/matterlog/__init__.py"))
    assert len(list(matterlog.__path__)) == len(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_that_it_is_typed(package: str) -> None:
    """Or a type checker of its users would not look."""
    assert (ROOT / package / "matterlog" / package / "py.typed").read_bytes() == b""
    assert (ROOT / package / "matterlog" / package / "__init__.py").exists()


@each_source
def test_every_module_says_what_it_is_for(source: Source) -> None:
    """In its first line, and under a name that says something."""
    assert ast.get_docstring(source.tree)
    assert not FORBIDDEN_NAMES & set(source.place.removesuffix(".py").split("/"))


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
