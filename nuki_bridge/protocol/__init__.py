"""The Nuki Bluetooth protocol as values and pure functions: no I/O, no clock, no randomness of its own."""
