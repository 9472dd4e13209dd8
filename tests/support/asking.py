"""Ask a web application in the same process, without a socket."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx


def ask(
    app: Any, path: str, *, method: str = "GET", host: str = "localhost:8650", **headers: str
) -> httpx.Response:
    """Return the application's answer to one request; underscores in header names stand for hyphens."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8650") as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, headers={"host": host, **named})

    return asyncio.run(send())
