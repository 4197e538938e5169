"""Nuki's Bridge HTTP API, played for programs that speak nothing else; see docs/bridge-http.md."""
