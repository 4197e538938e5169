"""What lets Home Assistant find locks and bridge by itself."""
