"""The kinds of file that the site's pages offer: each format, and variants for Excel."""

from dataclasses import dataclass

from matterlog.report.extracts.formats import FORMATS, Label


@dataclass(frozen=True, slots=True)
class FileChoice:
    """A kind of file: its format, whether it is the variant for Excel, and its label on the page."""

    format: str
    excel: bool
    label: Label


def file_choices() -> dict[str, FileChoice]:
    """Return the kinds of file in the page's order, by the value that a form sends."""
    found: dict[str, FileChoice] = {}
    for name, spec in FORMATS.items():
        found[name] = FileChoice(name, excel=False, label=spec.label)
        if spec.for_excel is not None:
            found[f"{name}-excel"] = FileChoice(name, excel=True, label=spec.for_excel)
    return found


def known_choice(value: str) -> str:
    """Check that a form's value is a known kind of file, and return it.

    Raises:
        ValueError: the page does not offer it.
    """
    if value not in file_choices():
        raise ValueError("the page does not offer this kind of file")
    return value
