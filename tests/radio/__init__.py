"""The radio that tests put in place of a real one: locks as Bluetooth peripherals, and a stand-in for bluetoothd.

`air.py`, `peripheral.py` and `medium.py` stand below the kernel, behind /dev/vhci (bumble); `bluez.py` stands in for
bluetoothd on D-Bus.  The lock in all of them is the package's own virtual one.
"""
