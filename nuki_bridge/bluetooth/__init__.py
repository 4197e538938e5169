"""Bluetooth LE through BlueZ: the radio that carries a lock's bytes."""
