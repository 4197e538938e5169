"""Nuki's own MQTT API (document 1.5): listened to where a lock speaks it, served where it does not."""
