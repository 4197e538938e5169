"""The benchmark: what one lock action costs over the real Bluetooth stack, beside what it would cost at least.

`make bench` runs it in the virtual machine of `tests/vm`.  It measures and compares; it never passes or fails.
"""
