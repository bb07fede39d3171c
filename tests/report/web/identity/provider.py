"""A real OpenID Connect provider, small: authorization code with PKCE, signed ID tokens, over HTTP.

It knows one client and one person, who is always signed in; tests change what it says.
"""

import base64
import html
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import httpx
import uvicorn
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from fastapi import FastAPI, Form, HTTPException
from joserfc import jwt
from joserfc.jwk import Key, RSAKey
from joserfc.jws import JWSRegistry
from starlette.requests import Request
from starlette.responses import RedirectResponse

from matterlog.report.web.identity.identity_provider import ProviderSettings
from tests.report.web.sites import Client, RunningSite, running_site

CLIENT_ID: Final = "matterlog"
CLIENT_SECRET: Final = "a secret between two machines"  # noqa: S105 - of a provider that lives for one test
EMAIL: Final = "zoe@firm.example"


@cache
def usual_key() -> RSAKey:
    """The key of every provider that has no other: to make one takes a tenth of a second."""
    return RSAKey.generate_key(2048, {"kid": "1"})


@dataclass
class Provider:
    """What the provider knows, and what it says when a test wants it to lie."""

    issuer: str
    key: Key = field(default_factory=usual_key)
    signs_with: Key | None = None
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256", "kid": "1"})
    other_keys: list[Any] = field(default_factory=list)
    person: dict[str, Any] = field(
        default_factory=lambda: {"sub": "248289761001", "email": EMAIL, "email_verified": True}
    )
    lies: dict[str, Any] = field(default_factory=dict)
    offers: dict[str, str] = field(default_factory=dict)
    userinfo: dict[str, Any] | None = None
    seconds_ahead: int = 0
    access_token: str = field(default_factory=secrets.token_urlsafe)
    refuses: bool = False
    ended: list[str] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def metadata(self) -> dict[str, Any]:
        """What it says of itself."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            **self.offers,
        }

    def authorize(self, request: Request) -> RedirectResponse:
        """Send the person back with a code."""
        asked = self.asked = dict(request.query_params)
        expected = {"client_id": CLIENT_ID, "response_type": "code", "code_challenge_method": "S256"}
        if any(asked.get(name) != value for name, value in expected.items()) or "openid" not in asked["scope"].split():
            raise HTTPException(400)
        code = secrets.token_urlsafe()
        self.codes[code] = asked
        answer = {"error": "access_denied"} if self.refuses else {"code": code}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer | {'state': asked['state']})}", 302)

    def token(
        self,
        request: Request,
        code: Annotated[str, Form()],
        code_verifier: Annotated[str, Form()],
        redirect_uri: Annotated[str, Form()],
    ) -> dict[str, Any]:
        """Give the client its tokens for a code, once."""
        known = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        asked = self.codes.pop(code, None)
        if request.headers.get("authorization") != f"Basic {known}" or asked is None:
            raise HTTPException(400)
        if (create_s256_code_challenge(code_verifier), redirect_uri) != (
            asked["code_challenge"],
            asked["redirect_uri"],
        ):
            raise HTTPException(400)
        now = int(time.time()) + self.seconds_ahead
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims |= {"auth_time": now} if "max_age" in asked else {}
        registry = JWSRegistry(algorithms=[self.header["alg"]])
        key = self.signs_with or self.key
        signed = jwt.encode(self.header, claims | self.person | self.lies, key, registry=registry)
        return {"access_token": self.access_token, "token_type": "Bearer", "id_token": signed}

    def keys(self) -> dict[str, Any]:
        """Its public keys."""
        return {"keys": [*self.other_keys, self.key.as_dict(private=False)]}

    def tell(self, request: Request) -> dict[str, Any]:
        """What it says of the person to whoever has the access token."""
        if self.userinfo is None or request.headers.get("authorization") != f"Bearer {self.access_token}":
            raise HTTPException(401)
        return self.userinfo

    def end(self, post_logout_redirect_uri: str) -> RedirectResponse:
        """End the session, and send the person back."""
        self.ended.append(post_logout_redirect_uri)
        return RedirectResponse(post_logout_redirect_uri, 302)

    def application(self) -> FastAPI:
        """All of it."""
        app = FastAPI()
        app.get("/.well-known/openid-configuration")(self.metadata)
        app.get("/authorize")(self.authorize)
        app.post("/token")(self.token)
        app.get("/keys")(self.keys)
        app.get("/userinfo")(self.tell)
        app.get("/end")(self.end)
        return app


@contextmanager
def running_provider() -> Iterator[Provider]:
    """A provider on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        provider = Provider(f"http://127.0.0.1:{listening.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(provider.application(), log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield provider
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def both(folder: Path, **more: Any) -> Iterator[tuple[RunningSite, Provider]]:
    """A provider, and a site that knows it; the site's address is known when it listens."""
    with running_provider() as provider:
        known = ProviderSettings(
            issuer=provider.issuer,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            public_url="http://set-below",
            **more,
        )
        with running_site(folder, provider=known) as site:
            assert site.parts.provider is not None
            object.__setattr__(known, "public_url", site.url)
            yield site, provider


def go_and_come_back(client: Client) -> str:
    """Go to the provider; return the path on which it sends back."""
    page = client.post("/sign-in/provider", "/sign-in").text
    address = re.search(r'<a href="(http[^"]+)"', page)
    assert address is not None
    back = httpx.get(html.unescape(address[1])).headers["location"]
    return str(back).removeprefix(client.url)


def ends_with(site: RunningSite) -> httpx.Response:
    """The answer to somebody new who went all the way."""
    client = site.client()
    return client.get(go_and_come_back(client))
