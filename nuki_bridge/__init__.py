"""Nuki door locks on MQTT, over Bluetooth LE, without a cloud."""

__version__ = "0.1.0"
