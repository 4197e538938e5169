"""A lock's name, a level of its topics: what it may be, and one made out of that in its maker's app; pure functions."""

from __future__ import annotations

import re

PROBE = "doctor."
"""How the lock that does not exist begins with which `doctor` tries the access list; no lock's name has a dot."""
_RESERVED_NAMES = ("bridge", "invitation")


def is_nuki_id(level: str) -> bool:
    """Return whether a topic's level is a Nuki ID, 8 hex digits in any case, and so no lock's name.

    Nuki's own MQTT topics begin so and may lie below the same base topic.
    """
    return re.fullmatch(r"[0-9A-Fa-f]{8}", level) is not None


def lock_name_mistake(name: str) -> str | None:
    """Return what keeps `name` from being a lock's name, as the rest of a sentence; None if nothing does."""
    if not re.fullmatch(r"[a-z0-9_-]{1,32}", name):
        return "must be 1 to 32 characters out of a-z, 0-9, _ and -"
    if is_nuki_id(name):
        return "must not be 8 hex digits, because those are Nuki IDs"
    if name in _RESERVED_NAMES:
        return f"must not be one of the reserved words {', '.join(_RESERVED_NAMES)}"
    return None


def slug(text: str, nuki_id: int) -> str:
    """Return a name for topics, made of the lock's name in its maker's app; `lock_<Nuki ID>` if nothing is left."""
    import unicodedata  # a megabyte that only pairing needs

    german = text.lower().translate({ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("ß"): "ss"})
    plain = unicodedata.normalize("NFKD", german).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9-]+", "_", plain).strip("_-")[:32].rstrip("_-")
    return f"lock_{nuki_id:08x}" if lock_name_mistake(name) else name
