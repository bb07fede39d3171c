"""docs/operations.md is held against the code: what it quotes is said, and what an operator can meet is in it."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from matterlog.schemas import MatterlogError
from tests.test_architecture import SOURCES, errors

OPERATIONS: Final = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
HEADER: Final = "| it says | what happened | what to do |"
# What stands for something else in a message (dots, a number, the topic of an example), and where a text may be put
# together from two.
BETWEEN: Final = re.compile(r"\.{3}|\b[NM]\b|\d[\d,.]*|\bmatter-views\b|[:;()]|, |\. ")
PLACE: Final = "\0"
# A piece of no more characters, such as "to", says nothing.
SHORT: Final = 2

# Errors that end no command of an operator -> who meets them instead.
MET_BY_OTHERS: Final = {
    "MatterlogError ConsumerError ProducerError ReportError SiteError Refused ReadingFailed "
    "DecisionNeeded": "nobody: there are kinds of them",
    "WrongUse InvalidFilter TooManyRows": "whoever asked wrongly: exit code 2, and the text says what is wrong",
    "InvalidEvent EncodeError ProducerClosed BufferFull NotDelivered": "the web app's developers (docs/producers.md)",
    "DecodeError": "nobody: it becomes a dead letter, with its kind",
    "DatabaseOlder RecordsNotKept PositionMoved LogUnavailable": "nobody: the owner goes on by itself",
    "SiteBusy NotSignedIn FormRefused NotAllowed SignInRefused TooManyTries ExtractGone TokenRefused "
    "CodeRefused": "whoever visits the site, whose page says what to do",
    "AccountRefused PasswordRefused": "whoever makes an account: the text says what is wrong with it",
    "ExtractUnreadable BadRecord": "whoever gave the file: the text names its line",
    "DemoFailed": "nobody but us: the demo's own check",
}
NOT_OPERATORS: Final = {name for names in MET_BY_OTHERS for name in names.split()}


def messages() -> list[str]:
    """What the tables of messages quote."""
    tables = re.findall(rf"^{re.escape(HEADER)}\n\|.*\n((?:\|.*\n)+)", OPERATIONS, re.MULTILINE)
    assert len(tables) == 2
    rows = [row.split(" | ")[0] for table in tables for row in table.splitlines()]
    return [message for row in rows for message in re.findall(r"(?:^\| |, )`([^`]+)`", row)]


def pieces(message: str) -> list[str]:
    """A message's own words, between what stands for something else."""
    found = [piece.strip() for piece in BETWEEN.split(message)]
    return [piece for piece in found if len(piece) > SHORT]


def template(node: ast.AST) -> str:
    """A text as the code has it, with a mark where a value goes."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) if isinstance(part, ast.Constant) else PLACE for part in node.values)
    return ""


def texts(tree: ast.AST) -> Iterator[str]:
    """Every text in a piece of code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr | ast.Constant):
            yield template(node)


@cache
def said_by_module() -> dict[str, str]:
    """All texts of each module, and of those that it imports: some make a part of its messages."""
    own = {source.path: "\n".join(texts(source.tree)) for source in SOURCES}
    return {source.path: "\n".join(own[path] for path in (source.path, *source.modules)) for source in SOURCES}


@cache
def said_by_name() -> dict[str, str]:
    """All texts of each function, class and constant, by its name."""
    found: dict[str, list[str]] = defaultdict(list)
    for source in SOURCES:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[node.name] += texts(node)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                found[node.target.id] += texts(node.value)
    return {name: "\n".join(said) for name, said in found.items()}


@cache
def said_with() -> dict[str, list[str]]:
    """What each place that makes an error says, with what the functions and constants that it names say."""
    found: dict[str, list[str]] = defaultdict(list)
    wanted = {error.__name__ for error in errors()}
    for node in (node for source in SOURCES for node in ast.walk(source.tree)):
        if isinstance(node, ast.Call):
            made = node.func.id if isinstance(node.func, ast.Name) else ""
        else:
            made = node.name if isinstance(node, ast.ClassDef) else ""
        if made in wanted:
            names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} - {"super"}
            calls = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
            names |= {each.attr for each in calls if isinstance(each, ast.Attribute) and each.attr[:2] != "__"}
            found[made].append("\n".join([*texts(node), *(said_by_name().get(name, "") for name in names - {made})]))
    return found


MESSAGES: Final = messages()


@pytest.mark.parametrize("message", MESSAGES)
def test_each_message_that_operations_quotes_is_said_by_the_code(message: str) -> None:
    """By one module and those that it imports, word for word but for names and numbers."""
    words = pieces(message)
    assert words
    assert [path for path, said in said_by_module().items() if all(piece in said for piece in words)]


@pytest.mark.parametrize("error", errors(), ids=lambda error: error.__name__)
def test_each_error_that_an_operator_can_meet_is_in_operations(error: type[MatterlogError]) -> None:
    """In the words of at least one place that makes it, unless it ends with somebody else."""
    quoted = [
        message
        for message in MESSAGES
        for said in said_with()[error.__name__]
        if all(piece in said for piece in pieces(message))
    ]
    assert quoted or error.__name__ in NOT_OPERATORS


def test_nobody_is_named_who_is_no_error() -> None:
    """The list of the others has no leftovers."""
    assert {error.__name__ for error in errors()} >= NOT_OPERATORS
