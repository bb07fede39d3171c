"""People at a real browser."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from matterlog.report.web.identity.accounts import Role
from tests.report.web.sites import NAME, PASSWORD, RunningSite

_CHROMIUM: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def chromium_here() -> str | None:
    """The program of this machine's Chromium, or None."""
    return next(filter(None, map(shutil.which, _CHROMIUM)), None)


@contextmanager
def started_chromium(program: str) -> Iterator[Browser]:
    """A headless Chromium."""
    # Its own sandbox needs rights that a container's root does not have; it opens nothing but our pages.
    options: dict[str, Any] = {"executable_path": program, "args": ["--no-sandbox"]}
    with sync_playwright() as playwright, playwright.chromium.launch(**options) as browser:
        yield browser


@dataclass
class Visit:
    """Somebody at a browser's window, with what the browser complained about."""

    site: RunningSite
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Go to a page of the site."""
        self.page.goto(self.site.url + path)
        return self.page

    def sign_in(self, name: str = NAME, password: str = PASSWORD) -> Page:
        """Fill in the form and send it."""
        self.open("/sign-in")
        self.page.get_by_label("Account name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        return self.page

    @property
    def path(self) -> str:
        """Where the window is."""
        return self.page.url.removeprefix(self.site.url)


@contextmanager
def visiting(chromium: Browser, site: RunningSite, **context: Any) -> Iterator[Visit]:
    """A window with cookies of its own."""
    with chromium.new_context(**context) as made:
        visit = Visit(site, made, made.new_page())
        visit.page.on("console", lambda line: visit.complaints.append(line.text) if line.type == "error" else None)
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.on("dialog", lambda dialog: visit.complaints.append(f"dialog {dialog.message}"))
        yield visit


@contextmanager
def signed_in(chromium: Browser, site: RunningSite, role: Role = Role.ADMINISTRATOR, **context: Any) -> Iterator[Visit]:
    """A window of somebody who has signed in with a new account."""
    site.account(role=role)
    with visiting(chromium, site, **context) as visit:
        visit.sign_in()
        visit.page.wait_for_url(site.url + "/")
        yield visit
