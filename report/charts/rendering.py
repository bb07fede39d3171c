"""Rendering of pictures as SVG, PNG, or an HTML page that needs no network. No browser is used.

1. Nothing is fetched: the renderer may not load addresses, and the page's policy forbids them to the browser.
2. A name in the page is the text of an element or data in JSON. The JSON has no ``<``, so no name can end the script.
3. The page shows the SVG at once, also without JavaScript. The script draws it again, with a tip at each mark.
"""

import base64
import hashlib
import json
from enum import StrEnum
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from threading import Lock
from typing import Any, Final

import vl_convert

from matterlog.report.charts.look import Look
from matterlog.report.charts.picture import Picture, Table
from matterlog.report.errors import InvalidFilter

# Two pixels for each point: sharp on paper.
_PNG_SCALE: Final = 2.0
# vegaEmbed interprets expressions and does not compile them, so the page's policy can forbid eval.
_EMBED: Final = """
const specification = JSON.parse(document.getElementById("specification").textContent);
const options = {actions: false, ast: true, defaultStyle: false, renderer: "svg", tooltip: {disableDefaultStyle: true}};
vegaEmbed("#picture", specification, options);
"""
_TO_WINDOW: Final = "window.vegaEmbed = vegaEmbed;"
# The converter locks itself while it makes Python objects. A thread that waits for that lock keeps Python's own, so two
# could wait for each other for ever. Behind this lock only one is inside.
_CONVERTER: Final = Lock()


class PictureFormat(StrEnum):
    """The file format of a picture."""

    SVG = "svg"
    PNG = "png"
    HTML = "html"

    @classmethod
    def of(cls, file_name: str) -> "PictureFormat":
        """Return the format of a file by the ending of its name.

        Raises:
            InvalidFilter: no format has this ending.
        """
        ending = file_name.lower().rpartition(".")[2]
        if "." not in file_name or ending not in set(cls):
            raise InvalidFilter(f"{file_name!r} does not end with .svg, .png or .html: name a file that does")
        return cls(ending)


def render(picture: Picture, format_: PictureFormat, look: Look = Look.LIGHT) -> bytes:
    match format_:
        case PictureFormat.SVG:
            return _svg(picture, look).encode()
        case PictureFormat.PNG:
            with _CONVERTER:
                return vl_convert.vegalite_to_png(picture.spec(look), scale=_PNG_SCALE, allowed_base_urls=[])
        case PictureFormat.HTML:
            return _page(picture, look).encode()


def vega_of(picture: Picture, look: Look = Look.LIGHT) -> bytes:
    """Return a picture as JSON for Vega; it is compiled, so the page needs no Vega-Lite.

    Labels for screen readers are off, because they would be field names. The page gives each mark the text of its tip.
    """
    specification = picture.spec(look)
    specification["config"] |= {"aria": False}
    with _CONVERTER:
        return json.dumps(vl_convert.vegalite_to_vega(specification)).encode()


@cache
def vega_script(snippet: str = _TO_WINDOW) -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, to serve or to inline; takes two seconds at first.

    The default snippet sets ``vegaEmbed`` on the window. The script contains no ``</script``.
    """
    with _CONVERTER:
        return vl_convert.javascript_bundle(snippet)


def _svg(picture: Picture, look: Look) -> str:
    with _CONVERTER:
        drawn = vl_convert.vegalite_to_svg(picture.spec(look), allowed_base_urls=[])
    head, rest = drawn.split(">", 1)
    described = ". ".join([picture.context, *(table.caption for table in picture.tables)])
    named = f'<title id="finding">{escape(picture.finding)}</title><desc id="context">{escape(described)}</desc>'
    return f'{head} role="img" aria-labelledby="finding" aria-describedby="context">{named}{rest}'


def _page(picture: Picture, look: Look) -> str:
    script = vega_script(_EMBED)
    template = Template(files("matterlog.report.charts").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(picture.finding),
        picture=_svg(picture, look),
        tables="\n".join(_table(table) for table in picture.tables),
        specification=_json_in_html(picture.spec(look)),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _json_in_html(value: dict[str, Any]) -> str:
    """Write JSON that cannot end a script element or begin a comment (HTML, 4.12.1.3)."""
    return json.dumps(value).replace("<", "\\u003c")


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    # bdi keeps a right-to-left name from reversing its row.
    rows = "\n".join(
        "<tr>" + "".join(f"<td><bdi>{escape(cell)}</bdi></td>" for cell in row) + "</tr>" for row in table.rows
    )
    caption = f"<caption>{escape(table.caption)}</caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"
