"""A PIN among other digits."""

from __future__ import annotations

import re


def shown(pin: str, text: str) -> bool:
    """Whether a PIN stands in a text, other than by chance in a longer number, such as a port, or in an ID in hex."""
    without_ids = re.sub("(?<![0-9A-Za-z])[0-9a-f]{8,}(?![0-9A-Za-z])", "", text)
    return re.search(f"(?<![0-9]){pin}(?![0-9])", without_ids) is not None
