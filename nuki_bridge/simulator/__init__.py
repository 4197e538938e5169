"""Virtual Nuki devices: the other side of the protocol, for the demo and for tests.

`lock.VirtualLock` is one Smart Lock without I/O, `virtual_device` what is common to every kind of device; `device`,
`motion`, `auto_lock`, `surroundings` and `connections` are its parts.  `radio` carries its bytes in memory.  All of it
follows the protocol document on its own and never imports the client's `session`, `pairing` or `lock`.
"""
