"""What Home Assistant is told, so that it finds locks and bridge by itself."""
