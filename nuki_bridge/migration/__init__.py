"""The pairings of other programs, taken over: what their exports hold, and how it gets into the store."""
