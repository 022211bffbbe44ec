"""All that driftwatch sends over HTTP: `client` makes one request, `patience` says when to try again.

Judges ask servers and exporters tell them, and neither may import the other; so this room stands below both.
"""
