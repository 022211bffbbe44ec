"""Connection: calls to Grafana's HTTP API, with errors that a person can act on.

The `grafana-api` package is archived upstream, but it does what we need. Two of its faults are repaired here: it parses
every reply as JSON, so a success without a body raises, and it lets errors of its network library through. Our own
client (`Session`) sends its calls. Another client, such as `grafana-client`, can be passed instead, since only calls
like `GET(path, json=…, headers=…)` are used.
"""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from driftwatch.errors import ConfigError
from driftwatch.http.client import shown
from driftwatch.monitoring.grafana.error import GrafanaError
from driftwatch.monitoring.grafana.session import Session

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
TIMEOUT_SECONDS = 10.0
OLDEST = 9  # the first version with data sources by uid and with alert provisioning


class Connection:
    """Calls to one Grafana.

    Args:
        client: A `GrafanaFace` of grafana-api, a `GrafanaApi` of grafana-client, or either's low-level object.
        where: Grafana's address, for messages.
    """

    def __init__(self, client: Any, where: str = "Grafana") -> None:
        # GrafanaFace has .api, and GrafanaApi has .client. The low-level object has any attribute, so it comes last.
        held = vars(client)
        self._api = held.get("api", held.get("client", client))
        self.where = where

    def call(self, method: Method, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """The reply as JSON; `None` for a success without a body.

        Args:
            method: HTTP method.
            path: Path after /api.
            body: Body to send as JSON; `None` for none.
            headers: Headers to send beside the connection's own.

        Raises:
            GrafanaError: The call did not succeed.
        """
        try:
            return getattr(self._api, method)(path, json=body, headers=dict(headers) if headers else None)
        except ValueError as err:
            # The reply was no JSON, and its status was no error, since error statuses are raised before parsing.
            if not str(getattr(err, "doc", "?")).strip():
                return None
            raise GrafanaError(
                f"{self.where} answered {method} {path} with something that is not JSON. Is this the root of a "
                "Grafana, with its sub-path, and not a login page in front of it?"
            ) from err
        except OSError as err:
            raise GrafanaError(f"{self.where} cannot be reached ({_network_reason(err)}). Is it up?") from err
        except TypeError as err:
            raise GrafanaError(f"{self.where} refused {method} {path} without a reason that could be read.") from err
        except Exception as err:
            status = getattr(err, "status_code", None)
            if not isinstance(status, int):
                raise
            raise GrafanaError(_refusal(self.where, method, path, status, err), status) from err

    def found(self, path: str) -> Any:
        """The object at a path, or `None` if there is none."""
        try:
            return self.call("GET", path)
        except GrafanaError as err:
            if err.status == 404:
                return None
            raise

    def version(self) -> str:
        """Grafana's version.

        Raises:
            GrafanaError: There is no healthy Grafana at the address, or it is too old.
        """
        health = self.call("GET", "/health")
        if not isinstance(health, dict) or health.get("database") != "ok":
            raise GrafanaError(f"expected a healthy Grafana at {self.where}; its /api/health says {health!r}.")
        version = str(health.get("version", ""))
        major = version.partition(".")[0]
        if major.isdigit() and int(major) < OLDEST:
            raise GrafanaError(f"{self.where} is Grafana {version}; provisioning over HTTP needs {OLDEST} or later.")
        return version


def connect(
    url: str,
    *,
    token: str | None = None,
    user: str | None = None,
    password: str | None = None,
    organization: str | None = None,
    verify: bool | str = True,
    timeout: float = TIMEOUT_SECONDS,
) -> Connection:
    """A connection through the grafana-api package.

    Args:
        url: Root of Grafana, with its sub-path if it has one.
        token: Token of a service account.
        user: User name, which goes with `password` and replaces a token.
        password: Password of that user.
        organization: Id of the organization; `None` takes the account's own.
        verify: Whether certificates are checked, or the path of a CA file to check them by.
        timeout: Seconds for each call.

    Raises:
        ConfigError: The address, the credentials or the package is missing.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"the address of Grafana begins with http:// or https://; found {shown(url)!r}.")
    if parts.username or parts.password:
        raise ConfigError(
            "put credentials into GRAFANA_TOKEN, or GRAFANA_USER and GRAFANA_PASSWORD, not into the address."
        )
    if token is None and (user is None or password is None):
        raise ConfigError("Grafana needs credentials: set GRAFANA_TOKEN, or GRAFANA_USER and GRAFANA_PASSWORD.")
    try:
        from grafana_api.grafana_face import GrafanaFace
    except ImportError as err:
        raise ConfigError("provisioning Grafana needs an extra: pip install 'driftwatch-trl[grafana]'.") from err
    prefix = parts.path.strip("/")
    face = GrafanaFace(
        auth=token if token is not None else (user, password),
        host=f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname,
        port=parts.port,
        url_path_prefix=f"{prefix}/" if prefix else "",
        protocol=parts.scheme,
        verify=verify,
        timeout=timeout,
    )
    face.api.s = Session(url)
    if organization is not None:
        face.api.s.headers["X-Grafana-Org-Id"] = organization
    return Connection(face, url)


def _refusal(where: str, method: str, path: str, status: int, err: Exception) -> str:
    response = getattr(err, "response", None)
    said = response.get("message") if isinstance(response, dict) else None
    reason = str(said or getattr(err, "message", err))
    if status == 401:
        return f"{where} does not accept the credentials. Set GRAFANA_TOKEN to a service account's token."
    if status == 403:
        return f"{where} does not allow this account to {method} {path}; it needs Editor, for data sources Admin."
    if status >= 500:
        return f"{where} failed at {method} {path} with {status} ({reason}). Try again; what is done already stays."
    return f"{where} refused {method} {path} with {status}: {reason}."


def _network_reason(err: OSError) -> str:
    """The innermost cause of an error, since the library's own text is only an address and nested names of objects."""
    cause: BaseException = err
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return str(getattr(cause, "strerror", None) or type(cause).__name__)
