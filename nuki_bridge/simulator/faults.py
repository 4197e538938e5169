"""What goes wrong between a virtual lock and a client in `radio.py`, as somebody ordered it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Faults:
    """What goes wrong next; 0 is nothing, and where it says "n-th" 1 is the very next."""

    connect_times_out: int = 0
    """Connection attempts that time out."""
    lose_indication: int = 0
    """The n-th indication from now never arrives."""
    cut_indication: int = 0
    """Of the n-th indication only the first half arrives."""
    flip_indication: int = 0
    """In the n-th indication bit `flip_bit`, modulo their number, arrives flipped."""
    flip_bit: int = 0
    double_indication: int = 0
    """The n-th indication arrives twice."""
    delay_indication: int = 0
    """The n-th indication, and what follows it, arrives `delay_s` seconds later than it would."""
    disconnect_at_indication: int = 0
    """The link goes away before the n-th indication has arrived."""
    disconnect_before_write: int = 0
    """At the n-th write the link goes away, and the lock has not got it."""
    disconnect_after_write: int = 0
    """At the n-th write the link goes away; the lock has got it, its answers are lost."""
    write_fails_after_delivery: int = 0
    """The n-th write reaches the lock, but is reported as timed out; the link stays."""
    delay_write: int = 0
    """The n-th write takes `delay_s` seconds longer."""
    delay_s: float = 0.0

    def hits(self, name: str) -> bool:
        """Count `name` down; true when its turn has come."""
        left = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
        return bool(left == 1)

    def spoil(self, data: bytes) -> list[bytes]:
        """What arrives of one indication: nothing, once or twice, damaged or not."""
        lost, cut, flipped, doubled = (self.hits(f"{what}_indication") for what in ("lose", "cut", "flip", "double"))
        if lost:
            return []
        if flipped and data:
            place, bit = divmod(self.flip_bit % (8 * len(data)), 8)
            data = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
        if cut:
            data = data[: len(data) // 2]
        return [data, data] if doubled else [data]
