"""axe on every page: no violation of WCAG 2.2 AA, light and dark, wide and on a phone."""

from pathlib import Path
from typing import Any, Final

import pytest
from fastapi.routing import APIRoute
from playwright.sync_api import Browser, Page

from matterlog.report.web.identity.api_tokens import Scope
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.site import routers
from testbed.events import a_deletion, a_view
from tests.report.web.sites import NAME, RunningSite, running_site
from tests.report.web.visits import Visit, signed_in, visiting

AXE: Final = (Path(__file__).parents[1] / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Of what passes axe need not describe every node.
ASK: Final = "async rules => (await axe.run(document, {runOnly: rules, resultTypes: ['violations']})).violations"
NO_PAGES: Final = ("/health", "/metrics", "/api", "/sign-in/provider", "/reports/activity/seen")
PAGES: Final = sorted(
    route.path
    for router in routers()
    for route in router.routes
    if isinstance(route, APIRoute)
    and "GET" in (route.methods or set())
    and "{" not in route.path
    and not route.path.startswith(NO_PAGES)
)
PHONE: Final[dict[str, Any]] = {"color_scheme": "light", "viewport": {"width": 320, "height": 800}}
WINDOWS: Final[list[dict[str, Any]]] = [
    {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    PHONE,
]


def violations(page: Page) -> list[str]:
    """What axe finds, with where."""
    page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate(ASK, RULES)
    return [f"{page.url}: {each['id']}: {node['target']}" for each in found for node in each["nodes"]]


def sideways(page: Page) -> bool:
    """Whether the page itself has to be moved sideways to be read."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@pytest.mark.parametrize("window", WINDOWS, ids=["light", "dark", "phone"])
def test_no_page_violates_a_rule(chromium: Browser, tmp_path: Path, window: dict[str, Any]) -> None:
    """Nor has to be moved sideways, down to 320 pixels; nor makes the browser complain."""
    with running_site(tmp_path, a_view(matter_id="m-7"), a_deletion(matter_id="m-7")) as site:
        found = []
        with visiting(chromium, site, **window) as visit:
            found += violations(visit.open("/sign-in"))
            visit.sign_in("nobody", "wrong")
            found += violations(visit.page)
        with signed_in(chromium, site, **window) as visit:
            for path in PAGES:
                page = visit.open(path)
                found += violations(page) + ([f"{path} is too wide"] if sideways(page) else [])
            found += _pages_behind_forms(visit, site) + visit.complaints
    assert not found, "\n".join(found)


def _pages_behind_forms(visit: Visit, site: RunningSite) -> list[str]:
    site.parts.api_tokens.make(site.parts.accounts.named(NAME), "Power BI", frozenset({Scope.STATUS}), 7, Actor())
    page = visit.open("/account")
    page.get_by_text("Make a token", exact=True).click()
    found = violations(page)
    page = visit.open("/accounts")
    page.get_by_text("Change").first.click()
    found += violations(page)
    page.get_by_label("Account name").fill("j.okafor")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("status").wait_for()
    return found + violations(page)
