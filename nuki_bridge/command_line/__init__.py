"""The `nuki-bridge` command."""
