"""Signing in with OpenID Connect: authorization code with PKCE (S256), state and nonce, with Authlib.

1. A person whom the provider signs in also needs an account here. It is found by the provider's subject. The first
   time, it is found by the verified e-mail address, which must be the account's name.
2. State, nonce and verifier stay in the site's database, bound to the visitor's cookie, for ten minutes and one answer.
3. The ID token's signature, issuer, audience, expiry and nonce are checked. Only asymmetric algorithms are accepted.
   The keys are fetched for each answer, so a new one is known at once. Keys that cannot be used are passed over.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from authlib.common.urls import add_params_to_uri
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import JWKRegistry
from joserfc.jws import JWSRegistry

from matterlog.report.errors import ProviderFailed, SignInRefused
from matterlog.report.web.identity.secret_tokens import hash_of, new_token
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas.instants import as_text
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "provider_sign_ins.sql")
CALLBACK_PATH: Final = "/sign-in/provider/answer"
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_VALID_FOR: Final = timedelta(minutes=10)
_TIMEOUT_SECONDS: Final = 10.0
_AGAIN: Final = "again."
# RFC 8176's methods by what they prove: something that the person knows, has or is. Two of these are two factors.
_FACTORS: Final = ({"pwd", "pin", "kba"}, {"otp", "sms", "tel", "hwk", "swk", "sc"}, {"face", "fpt", "iris", "vbm"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """The provider and our client ID there. ``public_url`` is the site's address, to which people are sent back."""

    issuer: str
    client_id: str
    client_secret: str
    public_url: str
    trust_email: bool = False
    leeway_seconds: int = 120
    second_factor_acr: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderIdentity:
    """A person at the provider: a subject that never changes, and an e-mail address if it is verified."""

    subject: str
    verified_email: str | None
    asked_second_factor: bool
    authenticated_at: datetime | None


class IdentityProvider:
    """An identity provider. Its addresses are looked up at the first sign-in."""

    def __init__(self, settings: ProviderSettings, database: SiteDatabase) -> None:
        self._settings = settings
        self._database = database
        self._trust = httpx.create_ssl_context()  # made once: it reads every certificate of the machine
        self._metadata: dict[str, Any] | None = None

    def begin(self, visit: str, *, again: bool = False) -> str:
        """Return the provider's address to which a visitor goes to sign in, ``again`` if signed in there already.

        Raises:
            ProviderFailed: the provider does not answer, or its configuration lacks the address.
        """
        state, nonce, verifier = new_token(), new_token(_AGAIN if again else ""), new_token(size=48)
        now = self._database.now()
        values = {
            "state_hash": hash_of(state),
            "visit_hash": hash_of(visit),
            "nonce": nonce,
            "code_verifier": verifier,
            "now": as_text(now),
            "old_since": as_text(now - _VALID_FOR),
        }
        asked = {"acr_values": self._settings.second_factor_acr} | ({"prompt": "login", "max_age": 0} if again else {})
        with self._client() as client:
            address, _ = client.create_authorization_url(
                self._address("authorization_endpoint"), state=state, nonce=nonce, code_verifier=verifier, **asked
            )
        with self._database.transaction() as connection:
            connection.execute(SQL["sweep"], values)
            connection.execute(SQL["start"], values)
        return str(address)

    def end_session_address(self) -> str | None:
        """Return the provider's address that ends a session there and leads back; None if it is unknown."""
        back = self._settings.public_url.rstrip("/") + "/sign-in"
        values = [("client_id", self._settings.client_id), ("post_logout_redirect_uri", back)]
        with suppress(ProviderFailed):
            return str(add_params_to_uri(self._address("end_session_endpoint"), values))
        return None

    def finish(self, visit: str, state: str, code: str) -> ProviderIdentity:
        """Check the provider's answer and return the person that it names.

        Raises:
            SignInRefused: this visitor did not start the sign-in that the answer belongs to.
            ProviderFailed: the provider refuses the person or the code, or its answer is not valid.
        """
        with self._database.transaction() as connection:
            old_since = as_text(self._database.now() - _VALID_FOR)
            values = {"state_hash": hash_of(state), "visit_hash": hash_of(visit), "old_since": old_since}
            started = connection.execute(SQL["take"], values).fetchone()
        if started is None:
            raise SignInRefused("this sign-in did not start in this browser, or took too long. Start again")
        nonce, verifier = started
        if not code:
            raise ProviderFailed("the identity provider did not sign you in")
        try:
            with self._client() as client:
                token = client.fetch_token(self._address("token_endpoint"), code=code, code_verifier=verifier)
                signed = _signed(token["id_token"], self._json(self._address("jwks_uri"))["keys"])
            return self._person(token, signed, nonce)
        except ProviderFailed:
            raise
        except Exception as error:  # Authlib, joserfc and httpx share no error class
            raise ProviderFailed(f"the identity provider's answer is not valid ({type(error).__name__})") from error

    def _person(self, token: dict[str, Any], signed: jwt.Token, nonce: str) -> ProviderIdentity:
        used = set(signed.claims.pop("amr", None) or ())
        claims = CodeIDToken(
            signed.claims,
            signed.header,
            {
                "iss": {"essential": True, "value": self._metadata_now()["issuer"]},
                "aud": {"essential": True, "value": self._settings.client_id},
                "sub": {"essential": True, "validate": lambda _, subject: subject.strip() and subject.isprintable()},
                "nonce": {"essential": True, "value": nonce},
            },
            {"nonce": nonce, "client_id": self._settings.client_id, "access_token": token.get("access_token")},
        )
        claims.validate(now=int(self._database.now().timestamp()), leeway=self._settings.leeway_seconds)
        told, bearer = claims, f"Bearer {token.get('access_token')}"
        with suppress(ProviderFailed):  # Okta says it at another address
            if "email_verified" not in claims:
                found = self._json(self._address("userinfo_endpoint"), Authorization=bearer)
                told = found if "email" in found and found.get("sub") == claims["sub"] else claims
        email, says_verified = str(told.get("email") or ""), told.get("email_verified", self._settings.trust_email)
        # A provider that does not say when may have recognised the person alone. Then that is no recent sign-in.
        at = claims.get("auth_time") or (None if nonce.startswith(_AGAIN) else 0)
        factors = 2 if "mfa" in used else sum(not used.isdisjoint(each) for each in _FACTORS)
        return ProviderIdentity(
            subject=f"{claims['iss']} {claims['sub']}",
            verified_email=email if says_verified in (True, "true") and email.isprintable() and email else None,
            asked_second_factor=factors > 1 or (claims.get("acr") or "") == self._settings.second_factor_acr,
            authenticated_at=None if at is None else datetime.fromtimestamp(at, UTC),
        )

    def _client(self) -> Any:
        return OAuth2Client(
            client_id=self._settings.client_id,
            client_secret=self._settings.client_secret,
            scope="openid email",
            redirect_uri=self._settings.public_url.rstrip("/") + CALLBACK_PATH,
            code_challenge_method="S256",
            timeout=_TIMEOUT_SECONDS,
            verify=self._trust,
        )

    def _address(self, name: str) -> str:
        try:
            return str(self._metadata_now()[name])
        except KeyError as error:
            raise ProviderFailed(f"the identity provider's configuration has no {name}") from error

    def _metadata_now(self) -> dict[str, Any]:
        """Return the provider's metadata, fetched once. Refuse metadata of another issuer."""
        if self._metadata is None:
            found = self._json(self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration")
            if str(found.get("issuer", "")).rstrip("/") != self._settings.issuer.rstrip("/"):
                raise ProviderFailed("the identity provider's issuer is not the configured one")
            self._metadata = found
        return self._metadata

    def _json(self, address: str, **headers: str) -> dict[str, Any]:
        try:
            answer = httpx.get(address, headers=headers, timeout=_TIMEOUT_SECONDS, verify=self._trust)
            answer.raise_for_status()
            return dict(answer.json())
        except (httpx.HTTPError, TypeError, ValueError) as error:
            raise ProviderFailed(f"the identity provider does not answer ({type(error).__name__})") from error


def _signed(token: str, keys: list[Any]) -> jwt.Token:
    """Check a token's signature with each key that can be used. Its key ID is only a hint, and some keys have none."""
    registry = JWSRegistry(algorithms=list(_ALGORITHMS), strict_check_header=False)
    for each in keys:
        with suppress(JoseError, LookupError, TypeError, ValueError):
            return jwt.decode(token, key=JWKRegistry.import_key(each), registry=registry)
    raise BadSignatureError
