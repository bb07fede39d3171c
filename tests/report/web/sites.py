"""Sites for tests: a real store, real accounts, a real server on a free port; only the clock is set by hand."""

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import uvicorn

from matterlog.app.owner.owned_store import StoreLog
from matterlog.app.owner.registered_extracts import registered_extracts
from matterlog.app.service import service
from matterlog.app.settings import Settings
from matterlog.consumers.database.store import Store
from matterlog.consumers.recovery.backups import BackupByInterval
from matterlog.report.handover.register import FileRegister
from matterlog.report.web.figures.metrics import SiteMetrics
from matterlog.report.web.figures.ports import Phase, PipelineState
from matterlog.report.web.http.forms import FIELD
from matterlog.report.web.identity.accounts import Account, Role
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.identity_provider import IdentityProvider, ProviderSettings
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.report.web.parts import Parts, SignInPolicy
from matterlog.report.web.site import make_site
from matterlog.schemas import Event
from matterlog.schemas.instants import as_stored, stored_now
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import PATIENCE_SECONDS
from tests.report.logs import apply

PASSWORD: Final = "a lamp beside the harbour"  # noqa: S105 - of an account that lives for one test
NAME: Final = "a.silva"
A_FREE_PORT: Final = Settings(port=0)
# Read once: a client that is given none reads every certificate of the machine anew.
TRUST: Final = httpx.create_ssl_context()


@dataclass
class Clock:
    """An instant that advances by hand."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        """The present instant."""
        return self.now

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


@dataclass
class SetPipeline:
    """A pipeline whose state a test sets, and that notes what it was asked."""

    now: PipelineState = field(
        default_factory=lambda: PipelineState(phase=Phase.CONSUMING, since=datetime(2026, 3, 1, tzinfo=UTC))
    )
    asked: list[tuple[str, tuple[str, ...] | None]] = field(default_factory=list)

    def state(self) -> PipelineState:
        """The state that was set."""
        return self.now

    def set(self, **values: Any) -> None:
        """Set some of it."""
        self.now = replace(self.now, **values)

    def change_dead_letters(
        self, ask: Literal["retry", "discard"], addresses: tuple[str, ...] | None
    ) -> dict[str, Any]:
        """Note it."""
        self.asked.append((ask, addresses))
        return {"discarded": len(addresses or ())}


@dataclass
class RunningSite:
    """A site that answers at ``url``."""

    url: str
    parts: Parts
    store: Store
    clock: Clock
    pipeline: SetPipeline
    folder: Path
    closing: ExitStack
    stop: threading.Event
    thread: threading.Thread
    visitors: "dict[Role, Client]" = field(default_factory=dict)

    def account(self, name: str = NAME, role: Role = Role.ANALYST) -> Account:
        """Make an account whose owner chose the password."""
        return self.parts.accounts.add(name, role, PASSWORD, Actor(), chosen_by_owner=True)

    def client(self) -> "Client":
        """Somebody with cookies of their own."""
        return Client(self.url, self.closing)

    def signed_in(self, name: str = NAME, role: Role = Role.ANALYST) -> "Client":
        """Somebody who has signed in with a new account."""
        self.account(name, role)
        client = self.client()
        assert client.sign_in(name).status_code == 303
        return client

    def known(self, role: Role = Role.ANALYST) -> "Client":
        """Somebody of this role who stays signed in, for tests that share a site and change nothing there."""
        if role not in self.visitors:
            self.visitors[role] = self.signed_in(f"a.{role.value}", role)
        return self.visitors[role]

    def acts(self) -> list[str]:
        """What was recorded, oldest first."""
        return [entry.act for entry in reversed(self.parts.audit_log.newest(100))]


class Client:
    """A browser without a window: keeps cookies, as a browser does on its own machine, and fills in forms."""

    def __init__(self, url: str, closing: ExitStack) -> None:
        self.url = url
        self._http = closing.enter_context(httpx.Client(base_url=url, timeout=PATIENCE_SECONDS, verify=TRUST))
        self.cookies: dict[str, str] = {}

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request with the cookies, and keep those that come back."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {**({"Cookie": cookies} if cookies else {}), **more.pop("headers", {})}
        answer = self._http.request(method, path, headers=headers, **more)
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in line:
                del self.cookies[name]
        return answer

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Open a page."""
        return self.request("GET", path, **more)

    def token(self, path: str = "/sign-in") -> str:
        """The token in a page's forms."""
        return token_in(self.get(path).text)

    def post(self, path: str, form_page: str, **fields: Any) -> httpx.Response:
        """Send a form as its page does."""
        return self.request("POST", path, data={FIELD: self.token(form_page), **fields})

    def sign_in(self, name: str = NAME, password: str = PASSWORD, **more: Any) -> httpx.Response:
        """Send the form for signing in."""
        return self.post("/sign-in", "/sign-in", name=name, password=password, **more)


def token_in(page: str) -> str:
    """The token in a page's forms."""
    found = re.search(rf'name="{FIELD}" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


def _stored(clock: Clock) -> datetime:
    return as_stored(clock())


@contextmanager
def running_site(
    folder: Path,
    *events: Event,
    provider: ProviderSettings | None = None,
    settings: Settings = A_FREE_PORT,
    clock: Clock | None = None,
) -> Iterator[RunningSite]:
    """A site over a log that holds these events. The log has the site's clock only if one is given."""
    paths, pipeline, stop = DatabaseFiles(folder / "log.duckdb"), SetPipeline(), threading.Event()
    stored = stored_now if clock is None else partial(_stored, clock)
    clock = clock or Clock()
    with (
        Store(paths, extracts=registered_extracts(paths), clock=stored) as store,
        service._listening(settings) as listening,
    ):
        apply(store, *events)
        database = SiteDatabase(paths.accounts, clock)
        known = None if provider is None else IdentityProvider(provider, database)
        backups = BackupByInterval(store, timedelta(days=1), kept=1)
        parts = Parts(
            log=StoreLog(store),
            pipeline=pipeline,
            database=database,
            register=FileRegister(paths.extracts),
            provider=known,
            policy=SignInPolicy(),
            max_lag=100,
            metrics=SiteMetrics(StoreLog(store), pipeline, lambda: backups.due_at(clock())),
            metrics_token=settings.metrics_token,
            host_names=service.host_names(settings),
        )
        server = uvicorn.Server(service._configuration(settings, make_site(parts)))
        thread = threading.Thread(target=service._answer, args=(server, listening, stop))
        thread.start()
        try:
            url = service.address_of(settings, listening).rstrip("/")
            with ExitStack() as closing:
                yield RunningSite(url, parts, store, clock, pipeline, folder, closing, stop, thread)
        finally:
            stop.set()
            thread.join()
