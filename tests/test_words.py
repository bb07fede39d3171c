"""The words of the interface: glossary terms, short sentences, imperative summaries. Every finding is in one list."""

import ast
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
import typer.main
from typer.core import TyperGroup

from matterlog.app.commands import app
from matterlog.app.settings import Settings
from tests.test_architecture import ROOT, SOURCES, errors

MAX_SUMMARY_CHARACTERS: Final = 60
MAX_SENTENCE_WORDS: Final = 30
# Phrase -> the words to use. The glossary's "not" column adds to these.
BANNED: Final = {
    "put together again": "restored or rebuilt",
    "record of acts": "audit log",
    "where reading stands": "Kafka positions",
    "rests on": "is based on",
    "what time cures": "transient failures",
    "token that holds": "valid token",
    "nothing was ever": "nothing has been ... yet",
    "in the place of": "instead of",
    "anew": "again, new",
    "bring about": "cause",
    "of somebody else": "another user's",
}
# Phrases with a word of that column in another meaning -> that meaning.
OTHER_MEANINGS: Final = {
    "access": "access rights",
    "broken off": "interrupted",
    "case": "in that case",
    "corrupt database file": "DuckDB's own message",
    "file": "a file on the disk",
    "key": "a Kafka key, a TLS key",
    "place": "everywhere that an erasure reaches; topic:partition:offset",
    "reader": "one who reads the database, and never waits for the writer",
    "session": "the time from signing in to signing out",
    "snapshot": "the committed state that one reader sees",
}
NO_INTERFACE: Final = {"report/web/figures/metrics.py": "metrics call missing records gaps"}
VERBS: Final = {"access", "bring", "pass", "process"}
NO_VERBS: Final = {"", "a", "all", "an", "how", "the", "what", "where", "whether", "which", "who", "why"}
PARTICIPLES: Final = {
    *("Applied", "Asked", "Called", "Chosen", "Closed", "Decoded", "Ended", "Fetched", "Found", "Given", "Kept"),
    *("Looked", "Made", "Moved", "Opened", "Purged", "Read", "Seen", "Sent", "Sifted", "Stored", "Taken", "Told"),
    *("Waiting", "Wanted", "Written"),
}
# What is code in a text, such as `a_name`, --a-flag, a_column or a/path: its words cannot be chosen.
_CODE: Final = re.compile(r"`[^`]*`|(?<!\w)--?[a-z][\w-]*|\b\w+(?:[_./:]\w+)+")
_INLINE_TAG: Final = re.compile(r"</?(?:a|bdi|code|em|kbd|small|span|strong|time)\b[^>]*>")
_TAG: Final = re.compile(r"\{#.*?#\}|\{%.*?%\}|<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)


def glossary() -> dict[str, str]:
    """Return each word of the "not" column -> the term to use."""
    rows = re.findall(r"^\| (\*\*.*) \| .* \| (.*)\|$", (ROOT / "docs/glossary.md").read_text("utf-8"), re.MULTILINE)
    words = ((word.strip(), term.replace("**", "")) for term, cell in rows for word in cell.split(","))
    return {word: term for word, term in words if word}


def _pattern(*phrases: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, phrases))})s?(?![\w-])", re.IGNORECASE)


_RULES: Final = [(_pattern(phrase), better) for phrase, better in (glossary() | BANNED).items()]
_OTHER: Final = _pattern(*OTHER_MEANINGS)


def _strings(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Return the line and text of each string below a node but docstrings; values of f-strings are ellipses."""
    if isinstance(node, ast.JoinedStr):
        yield node.lineno, "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, node.value
    elif not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
        for child in ast.iter_child_nodes(node):
            yield from _strings(child)


def messages() -> Iterator[tuple[str, str]]:
    """Return strings of several words in the code, and errors' docstrings, which are their default messages."""
    for source in (source for source in SOURCES if source.path not in NO_INTERFACE):
        for line, text in _strings(source.tree):
            if len(re.findall(r"\b[A-Za-z]+\b", text)) > 1 and " " in text:
                yield f"{source.path}:{line}", text
    for error in errors():
        yield f"{error.__module__}.{error.__name__}", (error.__doc__ or "").partition("\n\n")[0]


def commands(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """Return every command and group by its words; the root has none."""
    yield " ".join(path), command
    if isinstance(command, TyperGroup):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), *path, name)


COMMANDS: Final = dict(commands(typer.main.get_command(app)))


def helps() -> Iterator[tuple[str, str]]:
    """Return the help of every command, group, argument and option, without examples."""
    for path, command in COMMANDS.items():
        for paragraph in re.split(r"\n\s*\n", (command.help or "").partition("Example:")[0]):
            yield f"matterlog {path} --help", paragraph
        for parameter in command.params:
            yield f"matterlog {path} --help: {parameter.name}", getattr(parameter, "help", None) or ""


def descriptions() -> Iterator[tuple[str, str]]:
    """Return the description of every setting."""
    return ((f"setting {name}", field.description or "") for name, field in Settings.model_fields.items())


def pages() -> Iterator[tuple[str, str]]:
    """Return the text of every template, without tags; an expression is an ellipsis."""
    for path in sorted((ROOT / "report").rglob("*.html")):
        text = re.sub(r"\{\{.*?\}\}", "…", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for line in _TAG.sub("\n", _INLINE_TAG.sub("", text)).splitlines():
            yield path.relative_to(ROOT).as_posix(), line


def texts() -> dict[str, str]:
    """Return where each text is, by the text with single spaces."""
    found: dict[str, str] = {}
    for where, text in (*helps(), *descriptions(), *pages(), *messages()):
        found.setdefault(" ".join(text.split()), where)
    return found


def problems_of_text(text: str) -> Iterator[str]:
    """Return each banned phrase, and each sentence that is too long."""
    prose = _OTHER.sub("…", _CODE.sub("…", text))
    for pattern, better in _RULES:
        if found := pattern.search(prose):
            yield f"say {better!r} instead of {found[0]!r}: {text}"
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        if (count := len(re.findall(r"\S*\w\S*", sentence))) > MAX_SENTENCE_WORDS:
            yield f"a sentence of {count} words: {sentence}"


def problems_of_summary(text: str) -> Iterator[str]:
    """Return what is wrong with the first sentence of a command's help."""
    summary = re.split(r"\.(?:\s|$)", " ".join(text.split()))[0]
    first = summary.partition(" ")[0].strip(",:").lower()
    if len(summary) > MAX_SUMMARY_CHARACTERS:
        yield f"a summary of {len(summary)} characters: {summary}"
    if first not in VERBS and (first in NO_VERBS or first.endswith(("s", "ing"))):
        yield f"a summary that is not imperative: {summary}"


def test_the_interface_is_in_plain_english() -> None:
    """Words of the glossary, short sentences, imperative summaries, and classes named after things."""
    found = [f"{where}: {problem}" for text, where in texts().items() for problem in problems_of_text(text)]
    for path, command in COMMANDS.items():
        found += [f"matterlog {path} --help: {one}" for one in problems_of_summary(command.help or "") if path]
    for source in SOURCES:
        names = [node.name for node in source.nodes(ast.ClassDef) if isinstance(node, ast.ClassDef)]
        found += [f"{source.path}: name {one} after a thing" for one in names if one.lstrip("_") in PARTICIPLES]
    assert not found, "\n".join((f"{len(found)} findings", *found))


def test_texts_of_every_kind_are_looked_at() -> None:
    """And an exception that the glossary does not need any more is removed."""
    assert all(sum(bool(text.strip()) for _, text in kind()) > 20 for kind in (messages, helps, descriptions, pages))
    assert all(_pattern(*glossary()).search(phrase) for phrase in OTHER_MEANINGS)
    assert set(NO_INTERFACE) <= {source.path for source in SOURCES}


@pytest.mark.parametrize("text", ["A record of acts", "Two Bad messages.", "Where reading stands", "word " * 31])
def test_a_banned_phrase_and_a_long_sentence_are_found(text: str) -> None:
    """In any case, and in the plural."""
    assert list(problems_of_text(text))


@pytest.mark.parametrize("text", ["Give --accept-gaps", "`record of acts`", "Sessions end.", "word. " * 31])
def test_code_other_meanings_and_short_sentences_are_not_found(text: str) -> None:
    assert not list(problems_of_text(text))


@pytest.mark.parametrize("summary", ["Lists the views", "Reading views", "The views", "", f"Read {'views ' * 12}"])
def test_a_summary_that_is_long_or_not_imperative_is_found(summary: str) -> None:
    assert list(problems_of_summary(summary))
    assert not list(problems_of_summary("Read the topics into the database. A second sentence."))
