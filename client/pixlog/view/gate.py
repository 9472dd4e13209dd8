"""Who may ask: the check of every request before anything of a run is looked at, and the headers of every answer.

* A page of another site can make a browser send requests here, and can give its own name this address (DNS
  rebinding).  The Host header says what name the browser used; only names of this machine pass.
* Requests that another site's page makes say so (``Sec-Fetch-Site``) and are refused.
* Beyond this machine a token is asked for; the link that ``pixlog view`` prints sets it as a cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_COOKIE_PREFIX: Final = "pixlog-view-"

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Where a viewer listens and what it asks for."""

    host: str = "127.0.0.1"
    token: str | None = None
    own_names: frozenset[str] = frozenset()

    def accepts_host(self, header: str) -> bool:
        """Whether a Host header names this viewer.

        With a token, addresses pass too: a name can be rebound, an address cannot.
        """
        name = _host_name(header)
        if name in LOOPBACK_NAMES or name == self.host.lower() or name in self.own_names:
            return bool(name)
        return self.token is not None and _is_address(name)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_of_this_machine() -> frozenset[str]:
    """Return the names by which others may reach this machine."""
    return frozenset(name.lower() for name in (socket.gethostname(), socket.getfqdn()) if name)


class Gate:
    """ASGI middleware around the whole viewer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused request here, pass any other on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sending = _with_headers(send)
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, sending)
        else:
            await self._app(scope, receive, sending)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        if not self._access.accepts_host(headers.get("host", "")):
            return PlainTextResponse(
                f"host {headers.get('host', '')!r} is not this viewer; expected one such as localhost", 421
            )
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("the viewer only reads: expected GET or HEAD", 405)
        is_page = scope["path"] == "/"
        if not is_page and headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return PlainTextResponse("this was asked for by a page of another site", 403)
        return self._token_refusal(scope, headers)

    def _token_refusal(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        token = self._access.token
        if token is None:
            return None
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        given = query.pop("token", [""])[0]
        if scope["path"] == "/" and given and _same(given, token):
            rest = urlencode(query, doseq=True)
            response = RedirectResponse("/" + (f"?{rest}" if rest else ""), 303)
            # Lax, so that the link also works from a page where someone was sent it; strictness is Sec-Fetch-Site's.
            response.set_cookie(cookie_name(token), token, httponly=True, samesite="lax")
            return response
        if _same(_cookie(headers.get("cookie", ""), token), token):
            return None
        return PlainTextResponse("this viewer asks for a token: open the link that pixlog view printed", 401)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _host_name(header: str) -> str:
    """Return the name in a Host header, without port and brackets, in lower case."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def cookie_name(token: str) -> str:
    """Return the cookie's name: browsers share cookies among the ports of a host, viewers have a token each."""
    return _COOKIE_PREFIX + hashlib.sha256(token.encode()).hexdigest()[:12]


def _cookie(header: str, token: str) -> str:
    try:
        found = SimpleCookie(header).get(cookie_name(token))
    except CookieError:
        return ""
    return found.value if found else ""


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())
