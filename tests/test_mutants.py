"""The list of planted faults stays true: each still applies, and names a test that is there."""

from pathlib import Path

import pytest

from tests.mutants.mutants import HERE, ROOT, Mutant, MutantFailed, copy_project, read_mutants

MUTANTS = read_mutants()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project."""
    tree = tmp_path_factory.mktemp("mutants") / "project"
    copy_project(tree)
    return tree


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_applies_and_names_a_test(mutant: Mutant, project: Path) -> None:
    mutant.plant(project)
    mutant.take_out(project)
    for test in mutant.test.split():
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8"), test


def test_a_mutant_without_its_fact_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.patch").write_text("diff --git a/x b/x\n")
    with pytest.raises(MutantFailed, match="begin it with"):
        read_mutants(tmp_path)


def test_there_are_enough_to_cover_every_part_of_the_core() -> None:
    assert len(list(HERE.glob("*.patch"))) >= 60
