"""Signing in with OpenID Connect: authorization code with PKCE (S256), state and nonce, with Authlib.

1. A person whom the provider signs in also needs an account here. It is found by the provider's subject. The first
   time, it is found by the verified e-mail address, which must be the account's name.
2. State, nonce and verifier stay in the site's database, bound to the visitor's cookie, for ten minutes and one answer.
3. The ID token's signature, issuer, audience, expiry and nonce are checked. Only asymmetric algorithms are accepted.
"""

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import httpx
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from matterlog.report.errors import ProviderFailed, SignInRefused
from matterlog.report.web.identity.secret_tokens import hash_of, new_token
from matterlog.report.web.identity.site_database import SiteDatabase, as_text
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "provider_sign_ins.sql")
CALLBACK_PATH: Final = "/sign-in/provider/answer"
_SCOPE: Final = "openid email"
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_VALID_FOR: Final = timedelta(minutes=10)
_TIMEOUT_SECONDS: Final = 10.0
_LEEWAY_SECONDS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """The provider and our client ID there. ``public_url`` is the site's address, to which people are sent back."""

    issuer: str
    client_id: str
    client_secret: str
    public_url: str

    @property
    def redirect_uri(self) -> str:
        """The address to which the provider sends people back."""
        return self.public_url.rstrip("/") + CALLBACK_PATH


@dataclass(frozen=True, slots=True)
class ProviderIdentity:
    """A person at the provider: a subject that never changes, and an e-mail address if it is verified."""

    subject: str
    verified_email: str | None


class IdentityProvider:
    """An identity provider. Its addresses are looked up at the first sign-in."""

    def __init__(self, settings: ProviderSettings, database: SiteDatabase) -> None:
        self._settings = settings
        self._database = database
        self._lock = threading.Lock()
        self._metadata: dict[str, Any] | None = None

    def begin(self, visit: str) -> str:
        """Return the provider's address to which a visitor goes to sign in.

        Raises:
            ProviderFailed: the provider does not answer, or its configuration lacks the address.
        """
        state, nonce, verifier = new_token(), new_token(), new_token(size=48)
        now = self._database.now()
        values = {
            "state_hash": hash_of(state),
            "visit_hash": hash_of(visit),
            "nonce": nonce,
            "code_verifier": verifier,
            "now": as_text(now),
            "old_since": as_text(now - _VALID_FOR),
        }
        with self._client() as client:
            address, _ = client.create_authorization_url(
                self._address("authorization_endpoint"), state=state, nonce=nonce, code_verifier=verifier
            )
        with self._database.transaction() as connection:
            connection.execute(SQL["sweep"], values)
            connection.execute(SQL["start"], values)
        return str(address)

    def finish(self, visit: str, state: str, code: str) -> ProviderIdentity:
        """Check the provider's answer and return the person that it names.

        Raises:
            SignInRefused: this visitor did not start the sign-in that the answer belongs to.
            ProviderFailed: the provider refuses the code, or its answer is not valid.
        """
        with self._database.transaction() as connection:
            old_since = as_text(self._database.now() - _VALID_FOR)
            values = {"state_hash": hash_of(state), "visit_hash": hash_of(visit), "old_since": old_since}
            started = connection.execute(SQL["take"], values).fetchone()
        if started is None:
            raise SignInRefused("this sign-in did not start in this browser, or took too long. Start again")
        try:
            with self._client() as client:
                token = client.fetch_token(
                    self._address("token_endpoint"), code=code, code_verifier=started["code_verifier"]
                )
                keys = KeySet.import_key_set(_json(client, self._address("jwks_uri")))
            return self._person(token, keys, started["nonce"])
        except ProviderFailed:
            raise
        except Exception as error:  # Authlib, joserfc and httpx share no error class
            raise ProviderFailed(f"the identity provider's answer is not valid ({type(error).__name__})") from error

    def _person(self, token: dict[str, Any], keys: KeySet, nonce: str) -> ProviderIdentity:
        registry = JWSRegistry(algorithms=list(_ALGORITHMS), strict_check_header=False)
        decoded = jwt.decode(token["id_token"], key=keys, registry=registry)
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            {
                "iss": {"essential": True, "value": self._metadata_now()["issuer"]},
                "aud": {"essential": True, "value": self._settings.client_id},
                "nonce": {"essential": True, "value": nonce},
            },
            {"nonce": nonce, "client_id": self._settings.client_id, "access_token": token.get("access_token")},
        )
        claims.validate(now=int(self._database.now().timestamp()), leeway=_LEEWAY_SECONDS)
        email = claims.get("email") if claims.get("email_verified") is True else None
        return ProviderIdentity(subject=f"{claims['iss']} {claims['sub']}", verified_email=email)

    def _client(self) -> Any:
        return OAuth2Client(
            client_id=self._settings.client_id,
            client_secret=self._settings.client_secret,
            scope=_SCOPE,
            redirect_uri=self._settings.redirect_uri,
            code_challenge_method="S256",
            timeout=_TIMEOUT_SECONDS,
        )

    def _address(self, name: str) -> str:
        try:
            return str(self._metadata_now()[name])
        except KeyError as error:
            raise ProviderFailed(f"the identity provider's configuration has no {name}") from error

    def _metadata_now(self) -> dict[str, Any]:
        """Return the provider's metadata, fetched once. Refuse metadata of another issuer."""
        with self._lock:
            if self._metadata is None:
                address = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
                with httpx.Client(timeout=_TIMEOUT_SECONDS) as client:
                    found = _json(client, address)
                if str(found.get("issuer", "")).rstrip("/") != self._settings.issuer.rstrip("/"):
                    raise ProviderFailed("the identity provider's issuer is not the configured one")
                self._metadata = found
            return self._metadata


def _json(client: Any, address: str) -> Any:
    try:
        answer = client.request(
            "GET", address, **({"withhold_token": True} if isinstance(client, OAuth2Client) else {})
        )
        answer.raise_for_status()
        return answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise ProviderFailed(f"the identity provider does not answer ({type(error).__name__})") from error
