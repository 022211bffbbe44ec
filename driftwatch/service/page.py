"""The page's files: a handful, read once at start and served from memory, so that no request names a file on disk."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FILES = {
    "index.html": "text/html; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "parts.js": "text/javascript; charset=utf-8",
    "run.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "vendor/uPlot.min.js": "text/javascript; charset=utf-8",
    "vendor/uPlot.min.css": "text/css; charset=utf-8",
    "vendor/uPlot.LICENSE.txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    media_type: str
    tag: str


def page_routes() -> list[Route]:
    """The page at / and at /runs/NAME, and what it is made of."""
    root = files("driftwatch.service") / "static"
    assets = {name: _asset(root.joinpath(*name.split("/")).read_bytes(), kind) for name, kind in FILES.items()}
    index = assets.pop("index.html")
    routes = [Route(path, _serve(index)) for path in ("/", "/runs/{run}")]
    return [*routes, *(Route(f"/static/{name}", _serve(asset)) for name, asset in assets.items())]


def _asset(content: bytes, media_type: str) -> _Asset:
    return _Asset(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:16]}"')


def _serve(asset: _Asset):  # type: ignore[no-untyped-def] # starlette's endpoint type is a union of callables
    async def serve(request: Request) -> Response:
        headers = {"ETag": asset.tag, "Cache-Control": "no-cache"}  # asked for again, and answered in a word
        if request.headers.get("if-none-match") == asset.tag:
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)

    return serve
