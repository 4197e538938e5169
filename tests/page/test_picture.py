"""The README's picture of the page is one that the page gives."""

from __future__ import annotations

from pathlib import Path

from tests.page.picture import GAP, HEIGHT, MAX_SIZE, PICTURE, VIEWS, WIDTH, take
from tests.page.stage import Stage


def size(picture: bytes) -> tuple[int, int]:
    """Width and height in pixels of a lossy WebP."""
    assert (picture[:4], picture[8:12]) == (b"RIFF", b"WEBP")
    start = picture.index(b"\x9d\x01\x2a") + 3
    width, height = (int.from_bytes(picture[at : at + 2], "little") & 0x3FFF for at in (start, start + 2))
    return width, height


def test_the_readmes_picture_can_be_taken_again(tmp_path: Path) -> None:
    """Its clock differs; `make picture` puts a new one into the repository."""
    (tmp_path / "stage").mkdir()
    stage = Stage(tmp_path / "stage")
    try:
        taken = take(stage, tmp_path)
    finally:
        stage.stop()
    expected = (VIEWS * (WIDTH + GAP) + GAP, HEIGHT + 2 * GAP)
    for picture in (taken, PICTURE.read_bytes()):
        assert size(picture) == expected
        assert len(picture) <= MAX_SIZE
