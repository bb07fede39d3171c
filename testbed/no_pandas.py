"""An import of pandas that fails at once: DuckDB tries one in each statement, and no test needs pandas.

Otherwise Python looks for it in every folder of packages, which is a twelfth of the tests' processor time.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _NoPandas(MetaPathFinder):
    """The first finder that is asked for a module."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - as finders are called
        target: ModuleType | None = None,  # noqa: ARG002 - as above
    ) -> ModuleSpec | None:
        """Say that there is no pandas, and leave all others to the next finder."""
        if fullname == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=fullname)
        return None


def do_without_pandas() -> None:
    """Have this process do without pandas from now on."""
    sys.meta_path.insert(0, _NoPandas())
