"""The process: built, run under systemd, told anew what its configuration says, stopped."""
