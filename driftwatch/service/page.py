"""The page at / and /runs/NAME, with its files, which lie beside this module."""

import os
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
# Media types are fixed here, because Python would take them from the machine. Some machines call scripts plain text,
# and a browser that may not guess (nosniff) then refuses them.
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


def page_routes() -> list[BaseRoute]:
    """Routes of the page and its files."""
    # Links are followed, since some installers link every file instead of copying it; nobody else writes here.
    static = _PageFiles(directory=os.path.realpath(STATIC), follow_symlink=True)

    async def index(request: Request) -> Response:
        return await static.get_response("index.html", request.scope)

    return [Route("/", index), Route("/runs/{run}", index), Mount("/static", static)]


class _PageFiles(StaticFiles):
    """Serves the page's files; a browser asks for each one every time and gets 304 if it has not changed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or 304.

        Raises:
            HTTPException: 404 or 405.
        """
        kind = KINDS.get(os.path.splitext(path)[1])
        if kind is None or "\0" in path:
            raise HTTPException(status_code=404)
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        if response.status_code != 304:
            response.headers["Content-Type"] = kind
        return response
