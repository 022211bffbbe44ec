"""GrafanaError, in a module of its own, since both the session and the connection above it raise it."""

from driftwatch.errors import ExportError


class GrafanaError(ExportError):
    """Grafana could not be reached, or refused a call.

    Attributes:
        status: HTTP status of the reply; `None` where there was no reply.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
