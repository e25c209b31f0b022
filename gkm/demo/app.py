"""Requests of a browser on this machine in; the page, and photographs restored for it, out.

The page fetches nothing from elsewhere, and nobody else may ask: requests for other hosts (a name that was made to
point here) and from pages of other origins are refused. What goes wrong is said without paths of this machine.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gkm.data.photos import Upload
from gkm.demo.choices import Choices, UnknownChoiceError
from gkm.demo.restorations import BusyError, Restorations, Result
from gkm.errors import InputError

T = TypeVar("T")

HOSTS = ["127.0.0.1", "localhost"]
"""As which the page may be asked for."""
_HEADERS = {
    b"content-security-policy": b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    b"connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
_PAGES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_LOOKS_SECONDS = 1.0
"""Between looks at whether the one who asked is still there."""


class _SafeAnswers:
    """Adds the headers that keep a page to itself to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS.items()]
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class Demo:
    """What the page asks for."""

    def __init__(self, choices: Choices, *, most_bytes: int, most_pixels: int) -> None:
        self.choices, self.most_bytes = choices, most_bytes
        self.restorations = Restorations(most_pixels)

    def app(self) -> ASGIApp:
        """The application, for an ASGI server that listens on 127.0.0.1."""
        routes = [Route(path, self._page) for path in _PAGES]
        routes += [
            Route("/choices", self._choices),
            Route("/waiting", self._waiting),
            Route("/restorations", self._restore, methods=["POST"]),
            Route("/restorations/{key}/{part}", self._part),
            Route("/favicon.ico", _nothing),
        ]
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)
        return _SafeAnswers(Starlette(routes=routes, middleware=[hosts], exception_handlers=_HANDLERS))

    async def _page(self, request: Request) -> Response:
        name, kind = _PAGES[request.url.path]
        return Response((Path(__file__).parent / name).read_bytes(), media_type=kind)

    async def _choices(self, request: Request) -> Response:
        offered = await run_in_threadpool(_privately, self.choices.offered)
        models = [{"key": choice.key, "label": choice.label} for choice in offered]
        most_pixels = self.restorations.most_pixels
        return JSONResponse({"models": models, "mostBytes": self.most_bytes, "mostPixels": most_pixels})

    async def _waiting(self, request: Request) -> Response:
        return JSONResponse({"waiting": self.restorations.waiting})

    async def _restore(self, request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin is not None and origin != f"http://{request.headers['host']}":
            raise HTTPException(403, "only the page itself may send photographs")
        upload = Upload(_plain(request.query_params.get("name", "")), await self._body(request))
        model = request.query_params.get("model", "")
        future = self.restorations.submit(upload, lambda: _privately(self.choices.get, model))
        waited = asyncio.wrap_future(future)
        while not (await asyncio.wait([waited], timeout=_LOOKS_SECONDS))[0]:
            if await request.is_disconnected() and future.cancel():
                raise ClientDisconnect
        key = waited.result()
        result = self._result(key)
        width, height = result.size
        facts = {"width": width, "height": height, "seconds": round(result.seconds, 1), "model": result.model}
        return JSONResponse({"key": key, "name": result.name, **facts})

    async def _part(self, request: Request) -> Response:
        result = self._result(request.path_params["key"])
        match request.path_params["part"]:
            case "before":
                return Response(result.before, media_type="image/png")
            case "after":
                return Response(result.after, media_type="image/png")
            case "file":
                kind = "image/tiff" if result.name.endswith(".tif") else "image/png"
                named = {"content-disposition": f"attachment; filename*=UTF-8''{quote(result.name)}"}
                return Response(result.file, media_type=kind, headers=named)
        raise HTTPException(404, "there is no such part")

    def _result(self, key: str) -> Result:
        result = self.restorations.result(key)
        if result is None:
            raise HTTPException(404, "the result has made way for newer ones; send the photograph again")
        return result

    async def _body(self, request: Request) -> bytes:
        """The file that was sent."""
        content = bytearray()
        length = int(request.headers.get("content-length") or 0)
        async for chunk in request.stream():
            content += chunk
            if max(length, len(content)) > self.most_bytes:
                raise HTTPException(413, f"the file is larger than {self.most_bytes / 1e6:g} MB; send a smaller one")
        return bytes(content)


async def _nothing(request: Request) -> Response:
    return Response(status_code=204)


def _privately(function: Callable[..., T], *arguments: object) -> T:
    """What `function` gives; its sentences may name places of this machine, and are for the terminal alone."""
    try:
        return function(*arguments)
    except UnknownChoiceError:
        raise
    except InputError as error:
        raise RuntimeError(str(error)) from error


def _plain(name: str) -> str:
    """The name of a file as it can be repeated: without folders and control characters, and not too long."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(letter for letter in last if letter.isprintable())[-100:] or "photograph"


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code)
    return JSONResponse({"error": str(error)}, 422)


async def _busy(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "too many photographs wait already; try again in a while"}, 503)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


async def _failed(request: Request, error: Exception) -> Response:
    """Whoever asked learns nothing of this machine; the server prints what happened."""
    return JSONResponse({"error": "the server could not do that; its terminal says why"}, 500)


_HANDLERS: dict[Any, Any] = {
    HTTPException: _refused, InputError: _refused, BusyError: _busy, ClientDisconnect: _gone, Exception: _failed
}  # fmt: skip
