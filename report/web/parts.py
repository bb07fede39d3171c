"""The parts of the site, in one value that every request can reach."""

from dataclasses import dataclass
from typing import Final

from matterlog.report.handover.register import Register
from matterlog.report.web.extracts.extract_maker import ExtractMaker
from matterlog.report.web.extracts.kept_extracts import KeptExtracts
from matterlog.report.web.extracts.kept_manifests import KeptManifests
from matterlog.report.web.figures.metrics import SiteMetrics
from matterlog.report.web.figures.pictures import Pictures
from matterlog.report.web.figures.ports import Log, Pipeline
from matterlog.report.web.identity.accounts import Accounts, Role
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
# From one network, such as an office: each is a row in the site's database, until it is ten minutes old.
PROVIDER_SIGN_INS_A_MINUTE: Final = 60
LOCAL_NAMES: Final = frozenset({"localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInPolicy:
    """What the operator demands of sign-ins.

    Args:
        second_factor_for: the roles that must have a second factor.
        provider_asks_second_factor: the provider asks everybody for one, although its answers do not say so.
        secret: encrypts the secrets of second factors and signs the audit log's ends; None: neither is done.
    """

    second_factor_for: frozenset[Role] = frozenset()
    provider_asks_second_factor: bool = False
    secret: str | None = None


class Parts:
    """The log, its pipeline, the accounts and everything else that routes use.

    Args:
        log: how the log is read.
        pipeline: what fills it.
        database: the site's own.
        register: of what is handed out.
        provider: where people may sign in instead of here.
        policy: what is demanded of sign-ins.
        max_lag: how many records the log may be behind Kafka and still be called ready.
        metrics: where somebody else counts too; None for some of the site's own.
        metrics_token: what a Prometheus on another machine sends as its bearer token; None: none is let in.
        host_names: the names under which the site answers, besides IP addresses.
    """

    def __init__(
        self,
        *,
        log: Log,
        pipeline: Pipeline,
        database: SiteDatabase,
        register: Register,
        provider: IdentityProvider | None,
        policy: SignInPolicy,
        max_lag: int,
        metrics: SiteMetrics | None = None,
        metrics_token: str | None = None,
        host_names: frozenset[str] = LOCAL_NAMES,
    ) -> None:
        self.log = log
        self.pipeline = pipeline
        self.database = database
        self.register = register
        self.provider = provider
        self.policy = policy
        self.max_lag = max_lag
        self.metrics = metrics or SiteMetrics(log, pipeline)
        self.metrics_token = metrics_token
        self.host_names = host_names
        passwords = Passwords()
        self.audit_log = AuditLog(database, policy.secret, tells_ends=True)
        self.accounts = Accounts(database, self.audit_log, passwords)
        self.sessions = Sessions(database)
        self.second_factors = SecondFactors(database, self.audit_log, policy.secret)
        self.api_tokens = ApiTokens(database, self.audit_log)
        self.sign_in = SignIn(
            database,
            accounts=self.accounts,
            passwords=passwords,
            sessions=self.sessions,
            second_factors=self.second_factors,
            audit_log=self.audit_log,
            on_refused=self.metrics.sign_ins_refused.inc,
        )
        self.api_limit = RateLimit(API_REQUESTS_A_MINUTE, 60)
        self.provider_limit = RateLimit(PROVIDER_SIGN_INS_A_MINUTE, 60)
        self.manifests = KeptManifests(database)
        self.maker = ExtractMaker(log, pipeline, register, self.manifests, self.metrics)
        self.extracts = KeptExtracts(self.maker, log, database.now)
        self.pictures = Pictures(log, database.now)
