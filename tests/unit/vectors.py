"""The published and derived known-answer vectors (docs/protocol/, `vectors.json`), loaded once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors.json").read_text())


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


def frame_of(data: dict[str, Any], step: int, key: str = "message") -> bytes:
    """Bytes of step `step` (1-based) of a published pairing."""
    return unhex(next(s for s in data["steps"] if s["n"] == step)[key])
