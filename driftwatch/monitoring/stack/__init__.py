"""Starts Prometheus and Alertmanager with our rules for a run, and stops them again.

server        one process: started in the background, found again by its command line, stopped
settings      what is written for it: configuration, rules
stack         up, down, status over a folder
"""

from driftwatch.monitoring.stack.stack import Stack, down, running, up

__all__ = ["Stack", "down", "running", "up"]
