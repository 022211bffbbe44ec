"""All that driftwatch sends over HTTP.

    client      one request, one reply, within one time limit
    reply       what came, or that nothing did
    network     certificates and proxies, as machine and environment have them
    patience    when to try again

Judges ask servers and exporters tell them, and neither may import the other; so this room stands below both.
"""
