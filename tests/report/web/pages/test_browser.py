"""The site in a real browser: what people do, with and without a mouse, with and without script."""

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Browser, expect

from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.sessions import IDLE
from testbed.events import a_deletion, a_view
from tests.report.web.sites import NAME, RunningSite, running_site
from tests.report.web.visits import signed_in, visiting

WRONG = "a wrong password"


def test_somebody_signs_in_and_out(chromium: Browser, site: RunningSite) -> None:
    """And comes to where they wanted to go; the browser keeps the cookie on its own machine without TLS."""
    site.account()
    with visiting(chromium, site) as visit:
        visit.open("/account")
        visit.page.get_by_label("Account name").fill(NAME)
        visit.page.get_by_label("Password").fill("a lamp beside the harbour")
        visit.page.keyboard.press("Enter")
        expect(visit.page.get_by_role("heading", name="My account")).to_be_visible()
        assert visit.path == "/account"
        visit.page.get_by_role("button", name="Sign out").click()
        expect(visit.page.get_by_role("heading", name="Sign in")).to_be_visible()
        visit.open("/account")
        assert visit.path == "/sign-in?next=%2Faccount"
        assert visit.complaints == []


def test_a_wrong_password_is_told_and_announced(chromium: Browser, site: RunningSite) -> None:
    """As an alert, which a screen reader speaks."""
    site.account()
    with visiting(chromium, site) as visit:
        visit.sign_in(password=WRONG)
        expect(visit.page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
        assert not [each for each in visit.context.cookies() if "session" in each["name"]]


def test_an_expired_session_leads_to_the_sign_in_and_back(chromium: Browser, site: RunningSite) -> None:
    """Nothing is lost but the time."""
    with signed_in(chromium, site) as visit:
        site.clock.advance(IDLE + timedelta(seconds=1))
        visit.page.get_by_role("link", name="Operations").click()
        expect(visit.page.get_by_role("heading", name="Sign in")).to_be_visible()
        visit.page.get_by_label("Account name").fill(NAME)
        visit.page.get_by_label("Password").fill("a lamp beside the harbour")
        visit.page.get_by_role("button", name="Sign in", exact=True).click()
        expect(visit.page.get_by_role("heading", name="Operations")).to_be_visible()


def test_a_form_whose_token_was_forged_does_nothing(chromium: Browser, site: RunningSite) -> None:
    """Its sender reads what to do."""
    with signed_in(chromium, site) as visit:
        visit.open("/accounts")
        visit.page.evaluate("document.querySelectorAll('[name=form_token]').forEach(field => field.value = 'forged')")
        visit.page.get_by_label("Account name").fill("new.one")
        visit.page.get_by_role("button", name="Add").click()
        expect(visit.page.get_by_role("heading", name="Forbidden")).to_be_visible()
        expect(visit.page.locator("main")).to_contain_text("Open the page and send the form again")
        assert site.parts.accounts.find("new.one") is None


@contextmanager
def another_site(page: str) -> Iterator[str]:
    """A site of somebody else's: the same machine under another name is one."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


def test_a_form_on_another_site_does_nothing_even_with_the_token(chromium: Browser, site: RunningSite) -> None:
    """Somebody who is signed in is led to a page that sends it at once."""
    with signed_in(chromium, site) as visit:
        token = visit.open("/account").locator("[name=form_token]").first.get_attribute("value")
        form = (
            f'<form method="post" action="{site.url}/accounts"><input name="form_token" value="{token}">'
            '<input name="name" value="new.one"><input name="role" value="administrator"></form>'
            "<script>document.forms[0].submit()</script>"
        )
        with another_site(form) as address:
            visit.page.goto(address)
            visit.page.wait_for_url(f"{site.url}/accounts")
        expect(visit.page.get_by_role("heading", name="Forbidden")).to_be_visible()
        assert site.parts.accounts.find("new.one") is None


def test_no_other_site_shows_ours_in_a_frame(chromium: Browser, site: RunningSite) -> None:
    """Nobody clicks what they do not see."""
    with signed_in(chromium, site) as visit, another_site(f'<iframe src="{site.url}/accounts"></iframe>') as address:
        visit.page.goto(address)
        assert any("frame-ancestors" in complaint or "X-Frame-Options" in complaint for complaint in visit.complaints)
        assert "Accounts" not in visit.page.frames[1].content()


def test_an_administrator_adds_an_account_whose_owner_then_chooses_a_password(
    chromium: Browser, site: RunningSite
) -> None:
    """The first one is shown once, and opens nothing but its change."""
    with signed_in(chromium, site) as visit:
        visit.page.get_by_role("link", name="Accounts").click()
        visit.page.get_by_label("Account name").fill("j.okafor")
        visit.page.get_by_role("button", name="Add").click()
        first = visit.page.get_by_role("status").inner_text()
    with visiting(chromium, site) as owner:
        owner.sign_in("j.okafor", first)
        expect(owner.page.get_by_role("heading", name="Change the password")).to_be_visible()
        owner.page.get_by_label("Current password").fill(first)
        owner.page.get_by_label("New password", exact=True).fill("an umbrella in the rain")
        owner.page.get_by_label("New password again").fill("an umbrella in the rain")
        owner.page.get_by_role("button", name="Change password").click()
        expect(owner.page.get_by_role("heading", name="My account")).to_be_visible()
        owner.open("/")
        expect(owner.page.get_by_role("link", name="Accounts")).to_have_count(0)


def test_the_keyboard_alone_is_enough(chromium: Browser, site: RunningSite) -> None:
    """From the sign-in to a page, past the sidebar, and out again; what has the focus shows it."""
    site.account(role=Role.ADMINISTRATOR)
    with visiting(chromium, site) as visit:
        keyboard = visit.open("/sign-in").keyboard
        keyboard.type(NAME)
        keyboard.press("Tab")
        keyboard.type("a lamp beside the harbour")
        keyboard.press("Tab")
        keyboard.press("Enter")
        expect(visit.page.get_by_role("heading", name="Overview")).to_be_visible()
        keyboard.press("Tab")
        skip = visit.page.get_by_role("link", name="Skip to the content")
        expect(skip).to_be_focused()
        expect(skip).to_be_in_viewport()
        keyboard.press("Enter")
        expect(visit.page.locator("main")).to_be_focused()
        visit.open("/")
        _tab_to(visit.page, "My account")
        outline = visit.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        keyboard.press("Enter")
        expect(visit.page.get_by_role("heading", name="My account")).to_be_visible()
        _tab_to(visit.page, "Sign out")
        keyboard.press("Enter")
        expect(visit.page.get_by_role("heading", name="Sign in")).to_be_visible()


def _tab_to(page, text: str) -> None:  # type: ignore[no-untyped-def]
    """Press Tab until something has the focus that is called so."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == text:
            return
    raise AssertionError(f"Tab never came to {text}")


def test_everything_works_without_script(chromium: Browser, site: RunningSite) -> None:
    """Signing in, making a token, signing out; on a phone too, where the menu opens."""
    with signed_in(chromium, site, java_script_enabled=False, viewport={"width": 390, "height": 844}) as visit:
        page = visit.page
        page.get_by_text("Menu", exact=True).click()
        page.get_by_role("link", name="My account").click()
        page.get_by_text("Make a token", exact=True).click()
        page.get_by_label("Name", exact=True).fill("Power BI")
        page.get_by_label("Status").check()
        page.get_by_role("button", name="Make the token").click()
        expect(page.get_by_role("status")).to_have_text(re.compile(r"^mlog_[A-Za-z0-9_-]{43}$"))
        page.get_by_text("Menu", exact=True).click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_script_in_a_matters_id_is_text(chromium: Browser, tmp_path: Path) -> None:
    """It is shown, and does nothing."""
    script = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    with (
        running_site(tmp_path, a_view(matter_id=script), a_deletion(matter_id=script)) as site,
        signed_in(chromium, site) as visit,
    ):
        visit.open("/operations")
        expect(visit.page.get_by_role("cell", name=script)).to_be_visible()
        assert visit.complaints == []


def test_an_instant_is_shown_in_utc_and_in_the_readers_own_time(chromium: Browser, site: RunningSite) -> None:
    """By script, where there is one."""
    with signed_in(chromium, site, timezone_id="Asia/Kolkata", locale="en-GB") as visit:
        time = visit.open("/accounts").locator("time").first
        utc, own = time.inner_text().splitlines()
        assert re.fullmatch(r"\d+ \w{3} \d{4}, \d\d:\d\d UTC", utc)
        assert re.fullmatch(r"\d+ \w{3}, \d\d:\d\d GMT\+5:30", own)
