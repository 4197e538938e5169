"""Virtual Nuki devices: the other side of the protocol, for the demo and for tests.

`lock.VirtualLock` is one Smart Lock without I/O, `opener.VirtualOpener` one Opener; `lock.virtual_device` makes either.
Both are built of parts: `device`, `connections`, `people` and the requests are common to them, `motion`, `motor` and
`auto_lock` are a Smart Lock's, `strike` and `opener_motion` an Opener's.  `radio` carries their bytes in memory.  All
of it follows the protocol documents on its own and never imports the client's `session`, `pairing` or `lock`.
"""
