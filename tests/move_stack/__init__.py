"""Moves between native and direct licensing on the whole stack, with a moved clock and killed workers."""
