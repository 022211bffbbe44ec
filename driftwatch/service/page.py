"""The page at / and /runs/NAME, and the files that it is made of, which stand beside this module."""

import os
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
# Said here and not guessed: Python asks the machine, some machines call scripts plain text, and a browser that must
# not guess either (nosniff) then refuses them.
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


def page_routes() -> list[BaseRoute]:
    """The page and its files."""
    # Links are followed, since installers that link instead of copying make each file one; nobody else writes here.
    static = _PageFiles(directory=os.path.realpath(STATIC), follow_symlink=True)

    async def index(request: Request) -> Response:
        return await static.get_response("index.html", request.scope)

    return [Route("/", index), Route("/runs/{run}", index), Mount("/static", static)]


class _PageFiles(StaticFiles):
    """Files of the kinds that the page has; a browser asks for each again and is told in a word if it is the same."""

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
