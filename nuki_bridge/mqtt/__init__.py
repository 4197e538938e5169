"""The MQTT broker and what is said there: connections that come back, and JSON in payloads."""
