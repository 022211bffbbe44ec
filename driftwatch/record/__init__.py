"""What one observation found, what stays the same during a run, and the metrics made of both.

Extensions rely on the names below.
"""

from driftwatch.record.record import Record, RunInfo, to_json

__all__ = ["Record", "RunInfo", "to_json"]
