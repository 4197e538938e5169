"""Nuki door locks on MQTT, over Bluetooth LE, without a cloud."""

__version__ = "0.1.0"

HOMEPAGE = "https://example.org/nuki-bridge"
"""Where to get it, as setup.cfg has it."""
ISSUES = "https://example.org/nuki-bridge/issues"
"""Where to report what is wrong, as setup.cfg has it."""
