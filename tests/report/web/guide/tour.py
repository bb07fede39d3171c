"""The steps of docs/guide.md at a real browser, with a picture of each place."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Locator, Page, Route, expect

from testbed.command import PATIENCE_SECONDS
from tests.report.web.guide.camera import WIDTH, Camera
from tests.report.web.guide.firm_site import ADMINISTRATOR, ANALYST, firm_site
from tests.report.web.sites import RunningSite
from tests.report.web.visits import Visit, visiting

# Those of the links of the sidebar whose pages show people, matters and clients, with the names of their pictures.
ENGAGEMENT: Final = {"User engagement": "users", "Matter engagement": "matters", "Client analysis": "clients"}
# The picture of the README.
IN_DARK_TOO: Final = "matters"
_WINDOW: Final = {"viewport": {"width": WIDTH, "height": 760}, "timezone_id": "Europe/Madrid", "locale": "en-GB"}


def take_pictures(chromium: Browser, folder: Path, scratch: Path, *, views: int, is_for_readers: bool) -> Camera:
    """Walk through the site as the guide does, and take its pictures.

    Args:
        chromium: the browser.
        folder: where the pictures go.
        scratch: an empty folder for the log and the downloads.
        views: how many views the log has.
        is_for_readers: see ``Camera``.
    """
    camera = Camera(folder, is_for_readers)
    with firm_site(scratch, views) as site:
        with _window(chromium, site, draws=is_for_readers) as visit:
            _analyst(visit, camera, scratch)
        site.clock.advance(timedelta(minutes=10))
        with _window(chromium, site, draws=is_for_readers) as visit:
            _administrator(visit, camera)
    return camera


@contextmanager
def _window(chromium: Browser, site: RunningSite, *, draws: bool) -> Iterator[Visit]:
    with visiting(chromium, site, **_WINDOW) as visit:
        if not draws:
            visit.context.route("**/picture.*", _refuse)
            visit.context.route("**/vega*.js", _refuse)
        yield visit
        assert not [each for each in visit.complaints if "ERR_FAILED" not in each], visit.complaints


def _refuse(route: Route) -> None:
    route.abort()


def _see(sought: Locator) -> None:
    """Wait until it is there, and everything that belongs to the page, its scripts too."""
    expect(sought).to_be_visible(timeout=PATIENCE_SECONDS * 1000)
    sought.page.wait_for_load_state("load")


def _go(page: Page, link: str) -> None:
    """Follow a link of the sidebar to the page with the same heading."""
    page.get_by_role("navigation").get_by_role("link", name=link, exact=True).click()
    _see(page.get_by_role("heading", name=link, level=1))


def _analyst(visit: Visit, camera: Camera, scratch: Path) -> None:
    page = visit.open("/sign-in")
    camera.take("sign-in", page, height=580)
    visit.sign_in(ANALYST)
    _see(page.get_by_role("heading", name="Overview", level=1))
    camera.take("overview", page, height=1000)
    for link, picture in ENGAGEMENT.items():
        _go(page, link)
        camera.take(picture, page, height=860)
        if picture == IN_DARK_TOO:
            camera.take_dark(picture, page, height=860)
    _activity_report(visit, camera, scratch)


def _activity_report(visit: Visit, camera: Camera, scratch: Path) -> None:
    page = visit.page
    links = page.get_by_role("navigation").get_by_role("list").nth(1).get_by_role("link")
    expect(links.last).to_have_text("Activity report")
    _go(page, "Activity report")
    page.get_by_label("Last 30 days").check()
    page.get_by_text("Only some matters or people").click()
    page.get_by_label("Find a user, a matter or a company by name").fill("Spindrift")
    page.locator("#found").get_by_role("checkbox").first.check()
    page.get_by_label("Live", exact=True).check()
    _see(page.locator("#seen:not(.waiting)").get_by_text("of live matters"))
    camera.take("activity-report", page, height=1240)
    with page.expect_download() as report:
        page.get_by_role("button", name="Download", exact=True).click()
    report.value.save_as(scratch / "activity-report.csv")
    page.reload()
    camera.take("downloads", page, height=380, at="Your earlier downloads")
    with page.expect_download() as manifest:
        page.get_by_role("link", name="Download the manifest").click()
    manifest.value.save_as(scratch / "activity-report.csv.manifest.json")


def _administrator(visit: Visit, camera: Camera) -> None:
    visit.sign_in(ADMINISTRATOR)
    page = visit.page
    _go(page, "Accounts")
    page.get_by_label("Account name").fill("n.haddad")
    page.get_by_role("button", name="Add", exact=True).click()
    _see(page.get_by_role("status"))
    camera.note("accounts", page)
    _go(page, "Accounts")
    page.locator("summary", has_text=ANALYST).click()
    camera.take("accounts", page, height=930)
    _go(page, "My account")
    camera.note("second-factor", page)
    page.get_by_role("link", name="Add an authenticator app").click()
    _see(page.get_by_role("heading", name="Add a second factor"))
    camera.take("second-factor", page, height=860)
    _go(page, "Operations")
    camera.take("operations", page, height=1000)
    camera.take("deletions", page, height=400, width=1480, at="Deletions")
    _go(page, "Audit log")
    camera.take("audit-log", page, height=760)
