"""All that driftwatch sends over HTTP.

    client      one request, one reply, within one time limit
    reply       the reply, or that there was none
    network     certificates and proxies, from the machine and its environment
    patience    when to try again

Judges and exporters both talk to servers, and neither may import the other; so this package stands below both.
"""
