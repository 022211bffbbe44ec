"""GrafanaError, apart, since the session and the connection above it both raise it."""

from driftwatch.errors import ExportError


class GrafanaError(ExportError):
    """Grafana could not be reached, or refused.

    Attributes:
        status: HTTP status; `None` where there was no reply.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
