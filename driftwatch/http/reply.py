"""Reply: what a server answered; NoReply: that there was no answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any


class NoReply(Exception):
    """There was no reply in time, or none that is HTTP; the text is the reason and names no address."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered.

    Attributes:
        status: HTTP status; 300 to 399 is a redirect that was not followed.
        headers: Headers by name, whatever the case of its letters.
        body: The whole body of a success; for any other status as much of it as came.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        """Whether the status is in 200 to 299."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the server wants to be asked again; `None` where it does not say."""
        said = self.headers.get("Retry-After", "").strip()
        if said.isdecimal() and said.isascii():
            return float(said[:9])
        try:
            when = parsedate_to_datetime(said)
        except (ValueError, TypeError, IndexError):
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=timezone.utc)
        return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: The body is not JSON, or is nested too deeply.
        """
        try:
            return json.loads(self.body)
        except RecursionError as err:
            raise ValueError("the answer is nested too deeply") from err
