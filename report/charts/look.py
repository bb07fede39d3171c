"""The look of every picture: fonts, colours, dashes and shapes, light and dark.

1. A specification names no colour. Its marks have a *style* or one of Vega-Lite's named ranges, and the configuration
   gives them colours. Light and dark are one specification with two configurations.
2. Nothing depends on colour alone: guests are also dashed or hollow, health has a shape and a word, and a cell of the
   heat map has its number. A picture can be read in black and white.
3. Colours are those of Okabe and Ito (Color Universal Design, 2008), which are distinct for people with any kind of
   colour blindness. Those of marks have a contrast of at least 3 to 1 with the background (WCAG 2.2, 1.4.11). The heat
   map has one hue, which darkens evenly, or brightens on a dark background.
"""

import json
from enum import StrEnum
from importlib.resources import files
from string import Template
from typing import Any, Final

WIDTH: Final = 720
MEMBERS: Final = "Members"
GUESTS: Final = "Guests"
# Members first, everywhere. Members have a solid line and a full bar, guests a dashed line and a hollow bar.
USER_TYPES: Final = [MEMBERS, GUESTS]
DASHES: Final = [[1, 0], [5, 3]]
# Of the fonts that it names, the renderer contains Liberation Sans, and a browser has one of the others.
_CONFIGURATION: Final = Template(files(__package__).joinpath("configuration.json").read_text(encoding="utf-8"))


class Look(StrEnum):
    """The background of a picture."""

    LIGHT = "light"
    DARK = "dark"


_COLOURS: Final[dict[Look, dict[str, str]]] = {
    Look.LIGHT: {
        "background": "#ffffff",
        "text": "#1a1a1a",
        "quiet_text": "#595959",
        "grid": "#e3e3e3",
        "member": "#0072B2",
        "guest": "#D55E00",
        "heat_low": "#eaf2fa",
        "heat_high": "#08306b",
    },
    Look.DARK: {
        "background": "#16191d",
        "text": "#f0f0f0",
        "quiet_text": "#b4b8bd",
        "grid": "#343a40",
        "member": "#56B4E9",
        "guest": "#E69F00",
        "heat_low": "#1d2a3a",
        "heat_high": "#7fb8f5",
    },
}


def configuration(look: Look) -> dict[str, Any]:
    """Return the Vega-Lite configuration with fonts and colours: the file, with the look's colours in their places.

    All panels begin at the same x (``axisY``). A row of small multiples has a text beside it, and no heading.
    """
    return dict(json.loads(_CONFIGURATION.substitute(_COLOURS[look])))
