"""What one observation found, and what stays the same during a run; its figures by metric.

The names below are those that extensions rely on.
"""

from driftwatch.record.record import Record, RunInfo, to_json

__all__ = ["Record", "RunInfo", "to_json"]
