"""How many entries of a lock's list are asked for at a time: few while it is not known how fast they come, then more.

A page costs a challenge, a request, a count and an end beside its entries, and nobody else gets their turn meanwhile.
"""

from __future__ import annotations

PAGE_S = 2.0
"""Seconds that a page should take; between pages others get their turn."""
PAGES = (3, 10)
"""Fewest and most entries of a page, as long as nothing is known of longer ones."""
FIRST_PAGE = 6
"""Entries of the first page, while it is not known how fast they come."""
LONG_PAGE_S = 1.0
"""Seconds that a page of more entries may take."""
LONGEST = 120
"""Most entries of any page."""
GROWTH = 4
"""How many times as long as the page before a page may be: how fast entries come was measured over that one."""


class PageSize:
    """What is known of one lock's pages."""

    def __init__(self) -> None:
        self.entry_s: float | None = None
        """Seconds that an entry of the last list took; None before the first."""
        self.proven = PAGES[1]
        """Most entries that the lock is known to send for one request: a page that ends within is the last one."""
        self._most = LONGEST

    @property
    def short(self) -> int:
        """Number of entries to begin with."""
        if self.entry_s is None:
            return FIRST_PAGE
        least, most = PAGES
        return most if self.entry_s * most <= PAGE_S else max(least, int(PAGE_S / self.entry_s))

    def longer(self, size: int) -> int:
        """Return the number of entries to ask for after a whole page of `size`."""
        if self.entry_s is None:
            return self.short
        most = self._most
        in_time = most if self.entry_s * most <= LONG_PAGE_S else int(LONG_PAGE_S / self.entry_s)
        return max(self.short, min(size * GROWTH, in_time))

    def prove(self, size: int) -> None:
        """Take note that the lock has sent so many entries for one request, or all that it had."""
        self.proven = max(self.proven, size)

    def limit(self, size: int) -> None:
        """Take note that the lock has sent so many entries for one request, and had more."""
        self._most = max(size, PAGES[1])
