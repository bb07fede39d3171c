"""Parameters that a route does not take are refused: a misspelt filter would hand out the whole log.

A route takes the parameters that it and its dependencies declare. One that reads them by itself has them in ``Fields``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, get_origin

from fastapi.dependencies.models import Dependant
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request

from matterlog.report.errors import InvalidFilter
from matterlog.report.web.http.forms import FIELD

_SHOWN_CHARACTERS: Final = 40


async def only_known(request: Request) -> None:
    """Refuse unknown parameters, and more than one value of a parameter that takes one.

    Raises:
        InvalidFilter: its ``parameters`` are their names.
    """
    taken = {FIELD: False} | _taken(request.scope["route"].dependant)
    sent = [name for name, _ in [*request.query_params.multi_items(), *(await _form(request)).multi_items()]]
    wrong = {
        name: _complaint(name, taken)
        for name in sent
        if name not in taken or (not taken[name] and sent.count(name) > 1)
    }
    if wrong:
        raise InvalidFilter(" ".join(wrong.values()), *(name[:_SHOWN_CHARACTERS] for name in wrong))


@dataclass(frozen=True, eq=False)
class Fields:
    """A dependency: the fields of a form or query string. Those of ``several`` may have more than one value."""

    one: Iterable[str]
    several: Iterable[str] = ()

    async def __call__(self, request: Request) -> ImmutableMultiDict[str, Any]:
        """Return what was sent; raises as ``only_known``."""
        await only_known(request)
        return request.query_params if request.method == "GET" else await _form(request)


async def _form(request: Request) -> ImmutableMultiDict[str, Any]:
    return await request.form() if request.method == "POST" else ImmutableMultiDict()


def _taken(dependant: Dependant) -> dict[str, bool]:
    """Return the names that a route takes, and whether each may have several values."""
    declared = (*dependant.query_params, *dependant.body_params)
    found = {each.alias: get_origin(each.field_info.annotation) is list for each in declared}
    if isinstance(dependant.call, Fields):
        found |= dict.fromkeys(dependant.call.one, False) | dict.fromkeys(dependant.call.several, True)
    for each in dependant.dependencies:
        found |= _taken(each)
    return found


def _complaint(name: str, taken: dict[str, bool]) -> str:
    if name in taken:
        return f"{name!r} can be given only once."
    known = sorted(each for each in taken if each != FIELD and not each.startswith("add_"))
    nearest = get_close_matches(name, known, 1)
    hint = f"Did you mean {nearest[0]!r}?" if nearest else f"The parameters are: {', '.join(known) or 'none'}."
    return f"{name[:_SHOWN_CHARACTERS]!r} is not a parameter here. {hint}"
