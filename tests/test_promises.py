"""docs/promises.md is what the command makes, and each test and each planted fault has its place in it."""

from tests.mutants.mutants import read_mutants
from tests.promises.document import DOCUMENT, document, fault_belongs_to
from tests.promises.promises import FAULTS, KEPT, PROMISES, ROOT, files_of_tests, promise_of


def test_the_document_is_what_the_command_makes() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run: python -m tests.promises"


def test_each_file_of_tests_and_each_planted_fault_has_its_place() -> None:
    """In a promise, or among what keeps the project. ``promise_of`` raises where there is none."""
    assert {promise_of(file) for file in files_of_tests()} == {*(each for each in PROMISES if each.tests), None}
    assert {fault_belongs_to(mutant) for mutant in read_mutants()} <= {*PROMISES, None}


def test_each_folder_and_file_that_a_promise_names_is_there_and_is_named_once() -> None:
    named = [place for promise in PROMISES for place in promise.tests] + list(KEPT)
    assert len(set(named)) == len(named)
    assert [place for place in named if not (ROOT / "tests" / place).exists()] == []


def test_each_promise_is_held_by_something_and_says_what_is_not_shown() -> None:
    """What kills processes belongs to a promise."""
    assert None not in {promise_of(file) for file in files_of_tests() if file.startswith(FAULTS)}
    assert all(promise.not_shown and (promise.tests or promise.beside) for promise in PROMISES)
