"""Keys in the order of a number: a heap from which any key can be taken out early."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

SLACK = 64
"""Heap entries of deleted keys that are kept before the heap is built again (and never more than the live ones)."""


class Agenda(Generic[K]):
    """Each key once; every operation costs O(log n) on average, and memory follows the live keys."""

    def __init__(self) -> None:
        self._order: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._entries = 0

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, key: K) -> bool:
        return key in self._order

    def put(self, key: K, order: float) -> None:
        """Add a key, or move it. Keys with the same number stay in the order in which they came."""
        self._entries += 1
        self._order[key] = (order, self._entries)
        heapq.heappush(self._heap, (order, self._entries, key))
        if len(self._heap) > 2 * len(self._order) + SLACK:
            self._heap = [(*place, each) for each, place in self._order.items()]
            heapq.heapify(self._heap)

    def discard(self, key: K) -> bool:
        """Take a key out; whether it was there."""
        return self._order.pop(key, None) is not None

    def first(self) -> float | None:
        """The lowest number; None when there is no key."""
        while self._heap:
            order, entry, key = self._heap[0]
            if self._order.get(key) == (order, entry):
                return order
            heapq.heappop(self._heap)
        return None

    def pop(self) -> K | None:
        """Take the key with the lowest number out."""
        if self.first() is None:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._order[key]
        return key

    def pop_until(self, limit: float) -> Iterator[K]:
        """Take out the keys with numbers up to the limit, lowest first."""
        while (first := self.first()) is not None and first <= limit:
            key = self.pop()
            if key is not None:
                yield key

    def clear(self) -> None:
        self._order.clear()
        self._heap.clear()
