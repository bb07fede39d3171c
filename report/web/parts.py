"""The parts of the site, in one value that every request can reach."""

from dataclasses import dataclass
from typing import Final

from matterlog.report.handover.register import Register
from matterlog.report.web.extracts.extract_maker import ExtractMaker
from matterlog.report.web.extracts.extract_sweeper import ExtractSweeper
from matterlog.report.web.extracts.kept_extracts import KeptExtracts
from matterlog.report.web.extracts.kept_manifests import KeptManifests
from matterlog.report.web.figures.metrics import SiteMetrics
from matterlog.report.web.figures.pictures import Pictures
from matterlog.report.web.figures.ports import Log, Pipeline
from matterlog.report.web.identity.accounts import Accounts
from matterlog.report.web.identity.api_tokens import ApiTokens
from matterlog.report.web.identity.audit_log import AuditLog
from matterlog.report.web.identity.identity_provider import IdentityProvider
from matterlog.report.web.identity.passwords import Passwords
from matterlog.report.web.identity.rate_limits import RateLimit
from matterlog.report.web.identity.second_factor import SecondFactors
from matterlog.report.web.identity.sessions import Sessions
from matterlog.report.web.identity.sign_in import SignIn
from matterlog.report.web.identity.site_database import SiteDatabase

# Refreshing a report takes a handful of requests. Only a runaway program makes more.
API_REQUESTS_A_MINUTE: Final = 120
LOCAL_NAMES: Final = frozenset({"localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The log, its pipeline, the accounts and everything else that routes use."""

    log: Log
    pipeline: Pipeline
    max_lag: int
    database: SiteDatabase
    audit_log: AuditLog
    accounts: Accounts
    sessions: Sessions
    second_factors: SecondFactors
    api_tokens: ApiTokens
    sign_in: SignIn
    provider: IdentityProvider | None
    metrics: SiteMetrics
    metrics_token: str | None
    host_names: frozenset[str]
    register: Register
    manifests: KeptManifests
    maker: ExtractMaker
    extracts: KeptExtracts
    api_limit: RateLimit
    pictures: Pictures


def make_parts(
    *,
    log: Log,
    pipeline: Pipeline,
    database: SiteDatabase,
    register: Register,
    provider: IdentityProvider | None,
    max_lag: int,
    metrics: SiteMetrics | None = None,
    metrics_token: str | None = None,
    host_names: frozenset[str] = LOCAL_NAMES,
) -> Parts:
    """Make the parts of the site.

    Args:
        log: how the log is read.
        pipeline: what fills it.
        database: the site's own.
        register: of what is handed out.
        provider: where people may sign in instead of here.
        max_lag: how many records the log may be behind Kafka and still be called ready.
        metrics: where somebody else counts too; None for some of the site's own.
        metrics_token: what a Prometheus on another machine sends as its bearer token; None: none is let in.
        host_names: the names under which the site answers, besides IP addresses.
    """
    audit_log, passwords, sessions = AuditLog(database), Passwords(), Sessions(database)
    accounts, second_factors = Accounts(database, audit_log, passwords), SecondFactors(database, audit_log)
    metrics, manifests = metrics or SiteMetrics(log, pipeline), KeptManifests(database)
    maker = ExtractMaker(log, pipeline, register, manifests, metrics)
    return Parts(
        log=log,
        pipeline=pipeline,
        max_lag=max_lag,
        database=database,
        audit_log=audit_log,
        accounts=accounts,
        sessions=sessions,
        second_factors=second_factors,
        api_tokens=ApiTokens(database, audit_log),
        sign_in=SignIn(accounts, passwords, sessions, second_factors, audit_log),
        provider=provider,
        metrics=metrics,
        metrics_token=metrics_token,
        host_names=host_names,
        register=register,
        manifests=manifests,
        maker=maker,
        extracts=KeptExtracts(maker, ExtractSweeper(log, database.now), database.now),
        api_limit=RateLimit(API_REQUESTS_A_MINUTE, 60),
        pictures=Pictures(log, database.now),
    )
