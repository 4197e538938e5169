"""A lock without a door: the other side of the protocol, for the demo and for tests.

`lock.py` is one virtual lock without I/O (`handshake`, `authorizations`, `motor` and `control` are its parts),
`radio.py` carries its bytes in memory.  All of it follows the protocol document on its own and never imports the
client's `session`, `pairing` or `lock`.
"""
