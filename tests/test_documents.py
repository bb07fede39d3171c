"""The documents say what is so: the blocks of README and tutorial run, every setting, kind and error is named."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from matterlog.app.settings import Settings
from matterlog.consumers.reading.records import RejectKind
from matterlog.report.extracts.formats import FORMATS
from matterlog.schemas import DecodeErrorKind
from tests.test_words import MAX_SENTENCE_WORDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
DOCUMENTS = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
SCRIPTS = Path(sys.executable).parent
# Of the prose in README and docs, without tables and blocks. Lower these, do not raise them.
MOST_WORDS_A_SENTENCE = 13.0
MOST_LONG_SENTENCES = 0.02
MOST_SEMICOLONS_A_SENTENCE = 0.02


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def environment(broker: str) -> dict[str, str]:
    path = f"{SCRIPTS}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "COLUMNS": "120", "MATTERLOG_BOOTSTRAP_SERVERS": broker}


def run(command: list[str], folder: Path, broker: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment(broker), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def started(command: str, folder: Path) -> Iterator[str]:
    """Run the tutorial's command for a second terminal; yield the address that it prints."""
    with subprocess.Popen(
        shlex.split(command), cwd=folder, env=environment(""), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip().removeprefix("bootstrap.servers=")
        finally:
            process.terminate()


@pytest.mark.broker
def test_the_blocks_of_the_readme_do_what_they_say(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    try_it, operate, export = blocks("sh")
    (emit,) = blocks("python")
    create, consume = operate.split("matterlog consume", 1)
    (tmp_path / "matterlog.toml").write_text(f'topic_prefix = "{topic_prefix}"\n')
    emit = emit.replace("127.0.0.1:9092", kafka).replace('"))', f'"), topic_prefix="{topic_prefix}")', 1)

    run(["sh", "-ec", create.replace("127.0.0.1:9092", kafka)], tmp_path, kafka)
    run([sys.executable, "-c", emit], tmp_path, kafka)
    told = run(["sh", "-ec", "matterlog consume" + consume], tmp_path, kafka)
    exported = run(["sh", "-ec", export], tmp_path, kafka)

    assert "1 views stored" in told
    assert '"user_name":"Zoë O\'Brien"' in exported
    assert (tmp_path / "activity-report.csv").read_text(encoding="utf-8").count("Project Larch") == 1
    assert re.findall(r"^make (\w+)", try_it, re.MULTILINE) == ["demo", "test"]


@pytest.mark.process
def test_the_blocks_of_the_tutorial_do_what_they_say(tmp_path: Path) -> None:
    """In their order: commands are run, the program is saved, and each line of output follows the command above it."""
    install, broker, *steps = re.findall(r"^```(sh|python|text)\n(.*?)^```$", TUTORIAL, re.DOTALL | re.MULTILINE)
    assert install[1].startswith("make install\n")
    outputs = 0
    with started(broker[1], tmp_path) as address:
        told = ""
        for kind, block in steps:
            if kind == "python":
                (tmp_path / "first_views.py").write_text(block, encoding="utf-8")
            elif kind == "sh":
                told = " ".join(run(["sh", "-ec", block.replace("127.0.0.1:PORT", address)], tmp_path, address).split())
            else:
                outputs += 1
                for line in block.splitlines():
                    assert " ".join(line.split()) in told
    assert outputs == 7


def test_the_commands_of_the_readme_are_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in (
        "install",
        "demo",
        "check",
        "test",
        "lint",
        "kafka",
        "bench",
        "test-duckdb2",
        "demo-site",
        "demo-lake",
    ):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_setting_is_documented() -> None:
    for name in Settings.model_fields:
        assert f"`{name}`" in OPERATIONS or name == "kafka", name


def test_every_kind_of_dead_letter_is_documented() -> None:
    for kind in (*DecodeErrorKind, *RejectKind):
        assert f"`{kind}`" in OPERATIONS, kind


def test_the_table_of_formats_is_the_registry() -> None:
    reports = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    table = re.search(r"^\| format \|.*\n\|.*\n((?:\|.*\n)+)", reports, re.MULTILINE)
    assert table is not None
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[1].splitlines()]
    assert [row[0] for row in rows] == [f"`{name}`" for name in sorted(FORMATS)]
    for name, endings, _, is_compared in rows:
        spec = FORMATS[name.strip("`")]
        assert endings == ", ".join(f"`.{ending}`" for ending in spec.endings)
        assert is_compared == ("yes" if spec.read_back else "no")


def test_the_changelog_begins_with_the_version_of_the_distribution() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_index_of_decisions_names_each_one() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    decisions = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("0*.md"))
    assert re.findall(r"^\| \d+ \|.*?\]\((\d{4}-[\w.-]+\.md)\)", index, re.MULTILINE) == decisions


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "decisions").glob("0*.md")), ids=lambda path: path.stem)
def test_each_decision_has_the_same_form_and_what_the_index_says(path: Path) -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| (\d+) \| \[(.*)\]\({re.escape(path.name)}\) \| (.*) \| (.*) \|$", index, re.MULTILINE)
    assert row is not None
    number, title, date, status = row.groups()
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {number}. {title}\n\nDate: {date} · Status: {status}\n\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_the_index_of_documents_names_each_one() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs").glob("*.md"):
        assert f"({path.name})" in index or path.name == "README.md", path.name


def sentences() -> Iterator[str]:
    """Return each sentence of the prose in README, changelog and docs. Code counts as one word."""
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")):
        text = re.sub(r"^ *```.*?^ *```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        text = re.sub(r"^( *\||#).*$", "", text, flags=re.MULTILINE)
        text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", "CODE", text)).replace("**", "")
        for paragraph in re.split(r"\n\s*\n|\n *(?:-|\d+\.) ", text):
            yield from filter(str.strip, re.split(r"(?<=[.!?])[\"')]*\s+(?=[A-Z0-9\"'(*\[])", paragraph))


def test_the_documents_are_in_plain_english() -> None:
    """Short sentences without semicolons, none of which begins with who or what somebody or something is."""
    lengths = [len(re.findall(r"\S*\w\S*", sentence)) for sentence in sentences()]
    assert len(lengths) > 1000
    assert sum(lengths) / len(lengths) <= MOST_WORDS_A_SENTENCE
    assert sum(length > MAX_SENTENCE_WORDS for length in lengths) <= MOST_LONG_SENTENCES * len(lengths)
    assert sum(sentence.count(";") for sentence in sentences()) <= MOST_SEMICOLONS_A_SENTENCE * len(lengths)
    assert not [one for one in sentences() if re.match(r"\s*(Who|What)(ever)?\b[^?]{10,}$", one)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_of_ours_leads_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link


def test_no_lock_names_a_registry_or_an_address() -> None:
    for lock in (ROOT / "requirements").glob("*.lock"):
        assert not re.search(r"https?:|--index|--find-links", lock.read_text(encoding="utf-8")), lock.name
