"""The service process: the owner of the database, with the consumer, the owner's socket and the admin site.

1. The process takes the database and the port before it starts any part, so that it fails at once if it cannot.
2. Each part runs in its own threads, and its failure is contained: the consumer's is in the pipeline's state, a page's
   on that page, a question's in its answer.
3. Without TLS it listens only to its own machine, unless a setting allows others explicitly.
4. When stopped, it takes no more requests, gives running downloads some time, finishes the batch and closes the
   database.
"""

import ipaddress
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from matterlog.app.errors import WrongUse
from matterlog.app.owner.owned_store import StoreLog, owned_store
from matterlog.app.owner.owner import answering
from matterlog.app.owner.question import Owner
from matterlog.app.service.connections import GuardedProtocol
from matterlog.app.service.consumer_pipeline import ConsumerPipeline
from matterlog.app.settings import Settings
from matterlog.consumers.database.batch import Decode
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser
from matterlog.consumers.erasure.erase_schedule import EraseByDeadline
from matterlog.consumers.errors import BlockDamaged
from matterlog.consumers.reading.prefetch import settle_memory
from matterlog.consumers.recovery.backups import BackupByInterval
from matterlog.report.handover.register import FileRegister
from matterlog.report.web.figures.metrics import SiteMetrics
from matterlog.report.web.http.own_hosts import ForwardedAddresses
from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.identity_provider import IdentityProvider, ProviderSettings
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.report.web.parts import LOCAL_NAMES, Parts, SignInPolicy
from matterlog.report.web.site import make_site
from matterlog.schemas import MatterlogError
from matterlog.schemas.instants import utc_now
from matterlog.schemas.storage.database_files import DatabaseFiles

logger = logging.getLogger(__name__)

# How long running downloads get when the process is stopped.
DOWNLOADS_END_SECONDS: Final = 20
_WATCH_SECONDS: Final = 0.5
# The setting's value -> the roles that must have a second factor.
_SECOND_FACTOR_FOR: Final = {"nobody": (), "administrators": (Role.ADMINISTRATOR,), "everybody": tuple(Role)}
# Of TLS 1.2: forward secrecy, and no CBC. TLS 1.3 has suites of its own.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class SiteFailed(MatterlogError):
    """An admin site that could not start or ended by itself."""


def serve(
    settings: Settings, paths: DatabaseFiles, stop: threading.Event, *, accept_gaps: bool = False, consumes: bool = True
) -> None:
    """Run the service until stopped.

    Raises:
        WrongUse: the settings contradict each other.
        DatabaseInUse, DatabaseUnusable, SiteDatabaseUnusable: see each.
        DatabaseReplaced: the database file was removed or replaced.
        WouldLose: it is damaged, and what it holds is not all in a backup and the topics.
        BlockDamaged: it is damaged, and nothing is consumed.
        SiteFailed: the site cannot have its address, or ended by itself.
    """
    check(settings)
    if consumes:
        settings.broker()
        settle_memory()
    decode = settings.decode()
    with (
        owned_store(paths, settings.kafka_source if settings.bootstrap_servers else None) as store,
        BackupByInterval(store, settings.backup_interval(), settings.keep_backups) as backups,
        _listening(settings) as listening,
        EraseByDeadline(store, settings.deadline(), Eraser(store)) as erasure,
        ConsumerPipeline(settings, store, decode, erasure, accept_gaps=accept_gaps, consumes=consumes) as pipeline,
        _socket(store, decode, pipeline, erasure, backups) as metrics,
    ):
        database = SiteDatabase(paths.accounts)
        parts = Parts(
            log=StoreLog(store),
            pipeline=pipeline,
            database=database,
            register=FileRegister(paths.extracts),
            provider=_provider(settings, database),
            policy=SignInPolicy(
                second_factor_for=frozenset(_SECOND_FACTOR_FOR[settings.require_second_factor]),
                provider_asks_second_factor=settings.oidc_asks_second_factor,
                secret=settings.site_secret,
            ),
            max_lag=settings.max_lag,
            metrics=metrics,
            metrics_token=settings.metrics_token,
            host_names=host_names(settings),
        )
        if not parts.accounts.all():
            logger.warning("there are no accounts yet. Create one: matterlog accounts add NAME --role administrator")
        logger.info("the admin site is at %s", address_of(settings, listening))
        server = uvicorn.Server(_configuration(settings, make_site(parts)))
        _answer(server, listening, stop, parts.maker.stop, partial(_watch, store, consumes=consumes))


@contextmanager
def _socket(
    store: Store, decode: Decode, pipeline: ConsumerPipeline, erasure: EraseByDeadline, backups: BackupByInterval
) -> Iterator[SiteMetrics]:
    """Answer the command line, and count its extracts together with the site's."""
    metrics = SiteMetrics(StoreLog(store), pipeline, lambda: backups.due_at(utc_now()))
    owner = Owner(
        store,
        decode,
        lambda: pipeline.state().tombstones_trouble,
        erasure,
        metrics.export,
        read_at=lambda: backups.read_at,
        reading=pipeline.reading_trouble,
    )
    with answering(owner):
        yield metrics


def _watch(store: Store, *, consumes: bool) -> None:
    """Check the database file; a damaged block is the consumer's to recover, and its state's to tell."""
    try:
        store.check()
    except BlockDamaged:
        if not consumes:
            raise


def check(settings: Settings) -> None:
    """Check the settings that depend on each other.

    Raises:
        WrongUse: they contradict each other.
    """
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise WrongUse("--tls-certificate and --tls-key must be given together")
    if settings.tls_certificate is None and not settings.insecure_bind and not _is_loopback(settings.host):
        raise WrongUse(
            f"--host {settings.host} accepts other machines, and without TLS passwords would be readable. Give "
            "--tls-certificate and --tls-key or, behind a proxy that has TLS, --insecure-bind and --trusted-proxy"
        )
    oidc = (settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret, settings.public_url)
    if any(oidc[:3]) and not all(oidc):
        raise WrongUse("sign-in with OpenID Connect needs oidc_issuer, oidc_client_id, oidc_client_secret, public_url")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_of(settings: Settings, listening: socket.socket) -> str:
    """Return the site's URL."""
    host, port = listening.getsockname()[:2]
    scheme = "http" if settings.tls_certificate is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    try:
        family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address, family=family)
    except OSError as error:
        raise SiteFailed(f"the site cannot listen on {settings.host}:{settings.port}: {error.strerror}") from error
    with listening:
        yield listening


def _provider(settings: Settings, database: SiteDatabase) -> IdentityProvider | None:
    if not (settings.oidc_issuer and settings.oidc_client_id and settings.oidc_client_secret and settings.public_url):
        return None
    named = ProviderSettings(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        public_url=settings.public_url,
        trust_email=settings.oidc_trust_email,
        leeway_seconds=settings.oidc_leeway_seconds,
        second_factor_acr=settings.oidc_second_factor_acr,
    )
    return IdentityProvider(named, database)


def _configuration(settings: Settings, site: ASGIApp) -> uvicorn.Config:
    proxy = None if settings.trusted_proxy is None else str(settings.trusted_proxy)
    answering = site if proxy is None else ForwardedAddresses(site, proxy)
    return uvicorn.Config(
        answering,
        log_config=None,
        # An access log would hold the filters that people choose.
        access_log=False,
        server_header=False,
        proxy_headers=proxy is not None,
        forwarded_allow_ips=proxy or "",
        ssl_certfile=_file(settings.tls_certificate),
        ssl_keyfile=_file(settings.tls_key),
        ssl_ciphers=_CIPHERS,
        http=type("Protocol", (GuardedProtocol,), {"proxy": proxy}),
        # A library for WebSockets would take connections over, without deadlines.
        ws="none",
        timeout_graceful_shutdown=DOWNLOADS_END_SECONDS,
        lifespan="off",
    )


def host_names(settings: Settings) -> frozenset[str]:
    """Return the names under which the site answers, besides IP addresses."""
    public = None if settings.public_url is None else urlsplit(settings.public_url).hostname
    return LOCAL_NAMES | {name.lower().rstrip(".") for name in (public, settings.host) if name}


def _file(path: Path | None) -> str | None:
    if path is not None and not path.is_file():
        raise WrongUse(f"there is no file {path}")
    return None if path is None else str(path)


def _answer(
    server: uvicorn.Server,
    listening: socket.socket,
    stop: threading.Event,
    on_stop: Callable[[], None] = lambda: None,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests in a thread of their own until told to stop, or ``watch`` raises: signals stay this thread's."""
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="matterlog-site", daemon=True)
    thread.start()
    try:
        while not stop.wait(_WATCH_SECONDS):
            if not thread.is_alive():
                raise SiteFailed
            watch()
    finally:
        on_stop()
        server.should_exit = True
        thread.join(DOWNLOADS_END_SECONDS + 1)
