"""The look of every picture: fonts, colours, dashes and shapes, light and dark.

1. A specification names no colour. Its marks have a *style* or one of Vega-Lite's named ranges, and the configuration
   gives them colours. Light and dark are one specification with two configurations.
2. Nothing depends on colour alone: guests are also dashed or hollow, health has a shape and a word, and a cell of the
   heat map has its number. A picture can be read in black and white.
3. Colours are those of Okabe and Ito (Color Universal Design, 2008), which are distinct for people with any kind of
   colour blindness. Those of marks have a contrast of at least 3 to 1 with the background (WCAG 2.2, 1.4.11). The heat
   map has one hue, which darkens evenly, or brightens on a dark background.
"""

from enum import StrEnum
from typing import Any, Final

WIDTH: Final = 720
MEMBERS: Final = "Members"
GUESTS: Final = "Guests"
# Members first, everywhere. Members have a solid line and a full bar, guests a dashed line and a hollow bar.
USER_TYPES: Final = [MEMBERS, GUESTS]
DASHES: Final = [[1, 0], [5, 3]]
# The renderer contains Liberation Sans; a browser has one of the other fonts.
_FONT: Final = "Liberation Sans, Arial, Helvetica, Noto Sans, sans-serif"


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
    """Return the Vega-Lite configuration with fonts and colours."""
    colour = _COLOURS[look]
    return {
        "background": colour["background"],
        "font": _FONT,
        "padding": 16,
        "view": {"stroke": None, "strokeWidth": 0},
        "concat": {"spacing": 28},
        "title": {
            "anchor": "start",
            "frame": "bounds",
            "fontSize": 13,
            "offset": 10,
            "color": colour["text"],
            "subtitleColor": colour["quiet_text"],
            "subtitleFontSize": 12,
            "subtitlePadding": 5,
        },
        "axis": {
            "labelColor": colour["text"],
            "labelFontSize": 11,
            "labelLimit": 0,
            "titleColor": colour["quiet_text"],
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "gridColor": colour["grid"],
            "domainColor": colour["quiet_text"],
            "tickColor": colour["quiet_text"],
        },
        # All panels begin at the same x.
        "axisY": {"minExtent": 46},
        # A row of small multiples has a text beside it instead of a heading.
        "header": {"labels": False, "title": None},
        "legend": {
            "labelColor": colour["text"],
            "labelFontSize": 11,
            "titleColor": colour["quiet_text"],
            "titleFontWeight": "normal",
            "symbolStrokeWidth": 2,
        },
        "range": {
            "category": [colour["member"], colour["guest"]],
            "heatmap": [colour["heat_low"], colour["heat_high"]],
            "ordinal": [colour["member"], colour["guest"], colour["text"]],
        },
        "style": _styles(colour),
    }


def _styles(colour: dict[str, str]) -> dict[str, Any]:
    return {
        "member-bar": {"color": colour["member"]},
        "guest-bar": {"color": colour["guest"], "filled": False, "strokeWidth": 1.5},
        "before": {"color": colour["quiet_text"], "filled": False, "strokeWidth": 1.5, "opacity": 1},
        "change": {"color": colour["quiet_text"], "strokeWidth": 1.5},
        "baseline": {"color": colour["grid"], "strokeWidth": 1},
        "on-low": {"color": colour["text"], "fontSize": 9},
        "on-high": {"color": colour["background"], "fontSize": 9},
        "busiest": {"color": colour["guest"], "filled": False, "strokeWidth": 2.5},
        "said": {"color": colour["text"], "fontSize": 11, "align": "left", "baseline": "middle"},
        "nothing": {"color": colour["quiet_text"], "fontSize": 13, "align": "left", "baseline": "middle"},
    }
