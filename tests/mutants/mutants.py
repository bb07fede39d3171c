"""Mutants: faults planted in a copy of the code, one at a time; the test that each names must fail.

A mutant is ``NAME.patch`` beside this file: a line ``Fact:`` that says what holds without the fault, a line ``Test:``
with the test that must notice it, then the patch as ``git diff`` writes it. One that no longer applies has to be
planted anew, so that the list stays true.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
# What a copy of the project needs for its tests.
COPIED: Final = (
    *("schemas", "producers", "consumers", "report", "app", "src"),
    *("testbed", "tests", "docs", "requirements", "pyproject.toml", "README.md", ".gitignore"),
)
_HEAD: Final = re.compile(r"\AFact: (?P<fact>.+)\nTest: (?P<test>.+)\n\n(?=diff --git )")
# pytest's exit codes.
_PASSED, _FAILED = 0, 1
# How a process ends whose memory a fault has broken: nobody overlooks that.
_CRASHED: Final = {-signal.SIGSEGV, -signal.SIGABRT}
# How pytest-timeout says that a test hung. A test that waits with an end of its own raises TimeoutError, and fails.
_HUNG = ("from pytest-timeout", "+ Timeout +")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A planted fault, the fact that it breaks, and the test that notices."""

    name: str
    fact: str
    test: str
    patch: str

    def plant(self, tree: Path) -> None:
        """Plant the fault in a copy of the project.

        Raises:
            MutantFailed: the patch does not apply.
        """
        self._apply(tree)

    def take_out(self, tree: Path) -> None:
        """Take the fault out again; raises as ``plant``."""
        self._apply(tree, "--reverse")

    def _apply(self, tree: Path, *options: str) -> None:
        command = ["git", "apply", "--whitespace=nowarn", *options, "-"]
        # A copy may lie in somebody's repository, where git would look for the files from its root.
        environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(tree.parent)}
        done = subprocess.run(
            command, cwd=tree, env=environment, input=self.patch, text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise MutantFailed(f"{self.name}: the patch no longer applies; plant the fault anew\n{done.stderr}")

    def key(self, state: str) -> str:
        """Return what a result is good for: this mutant on this state of the project."""
        return hashlib.sha256(f"{state}\n{self.test}\n{self.patch}".encode()).hexdigest()


class MutantFailed(Exception):
    """A mutant lives, or says nothing."""


def read_mutants(folder: Path = HERE) -> list[Mutant]:
    """Read all mutants.

    Raises:
        MutantFailed: one does not begin with its fact and its test.
    """
    return [_read(path) for path in sorted(folder.glob("*.patch"))]


def _read(path: Path) -> Mutant:
    text = path.read_text(encoding="utf-8")
    head = _HEAD.match(text)
    if head is None:
        raise MutantFailed(f"{path.name}: begin it with `Fact: ...`, `Test: tests/...::test_...` and an empty line")
    return Mutant(name=path.stem, fact=head["fact"], test=head["test"], patch=text[head.end() :])


def copy_project(tree: Path) -> None:
    """Copy what tests need, with the compiled code, so that a test's processes need not compile it again."""
    tree.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, symlinks=True)
        else:
            shutil.copy(ROOT / name, tree / name)


def state_of_project() -> str:
    """Return a hash of what the tests run on."""
    digest = hashlib.sha256()
    for name in COPIED:
        paths = sorted((ROOT / name).rglob("*")) if (ROOT / name).is_dir() else [ROOT / name]
        for path in paths:
            if path.is_file() and path.suffix not in {".pyc", ".patch"}:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def kill(mutant: Mutant, tree: Path) -> None:
    """Plant a mutant in a copy of the project and run its test, which must fail.

    Raises:
        MutantFailed: the mutant lives, or its test could not be run.
    """
    copy_project(tree)
    mutant.plant(tree)
    environment = os.environ | {"PYTHONPATH": str(tree / "src")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant.test.split()]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == _PASSED:
        raise MutantFailed(f"{mutant.name} lives: {mutant.test} does not notice it. The fact: {mutant.fact}")
    if done.returncode in _CRASHED:
        return
    if done.returncode != _FAILED or " error" in done.stdout.splitlines()[-1]:
        raise MutantFailed(f"{mutant.name}: its test cannot be run\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    if any(sign in done.stdout for sign in _HUNG):
        raise MutantFailed(f"{mutant.name} hangs {mutant.test} instead of failing it")
