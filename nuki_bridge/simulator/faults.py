"""The faults that can be ordered between a virtual lock and a client, for `link.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Faults:
    """What goes wrong next; 0 stands for nothing, and 1 as n-th for the very next."""

    connect_times_out: int = 0
    """How many of the next connection attempts time out."""
    lose_indication: int = 0
    """The n-th indication from now never arrives."""
    cut_indication: int = 0
    """Only the first half of the n-th indication arrives."""
    flip_indication: int = 0
    """One bit of the n-th indication arrives flipped; `flip_bit` says which."""
    flip_bit: int = 0
    """Number of the bit that `flip_indication` flips, modulo the number of bits."""
    double_indication: int = 0
    """The n-th indication arrives twice."""
    delay_indication: int = 0
    """The n-th indication, and what follows it, arrives `delay_s` seconds later."""
    disconnect_at_indication: int = 0
    """The link is lost before the n-th indication has arrived."""
    disconnect_before_write: int = 0
    """The link is lost before the n-th write has reached the lock."""
    disconnect_after_write: int = 0
    """The link is lost after the n-th write has reached the lock; the answers are lost."""
    write_fails_after_delivery: int = 0
    """The n-th write reaches the lock but is reported as timed out; the link stays."""
    delay_write: int = 0
    """The n-th write takes `delay_s` seconds longer."""
    delay_s: float = 0.0
    """Seconds by which `delay_indication` and `delay_write` delay."""

    def hits(self, name: str) -> bool:
        """Count `name` down and return whether its turn has come."""
        left = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
        return bool(left == 1)

    def spoil(self, data: bytes) -> list[bytes]:
        """Return what arrives of one indication: nothing, once or twice, damaged or not."""
        lost, cut, flipped, doubled = (self.hits(f"{what}_indication") for what in ("lose", "cut", "flip", "double"))
        if lost:
            return []
        if flipped and data:
            place, bit = divmod(self.flip_bit % (8 * len(data)), 8)
            data = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
        if cut:
            data = data[: len(data) // 2]
        return [data, data] if doubled else [data]
