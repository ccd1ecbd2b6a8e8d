"""Rows of choices in which each pair of choices of two factors is together at least once."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence

CANDIDATES = 8
"""Rows that are tried for each one that is taken."""


def pairwise(factors: Mapping[int, Sequence[str]], seed: int = 1) -> list[dict[int, str]]:
    """Rows by factor; the same seed makes the same ones. Greedy: each row is the best of some, so the number of rows is
    near the least that is possible, which is the product of the two greatest numbers of choices."""
    chance = random.Random(seed)
    missing = {
        ((one, first), (two, second))
        for one, two in itertools.combinations(sorted(factors), 2)
        for first in factors[one]
        for second in factors[two]
    }
    rows: list[dict[int, str]] = []
    while missing:
        start = min(missing)
        tries = [_row(factors, missing, dict(start), chance) for _ in range(CANDIDATES)]
        row = max(tries, key=lambda each: len(missing & _pairs(each)))
        missing -= _pairs(row)
        rows.append(row)
    return rows


def _row(
    factors: Mapping[int, Sequence[str]],
    missing: set[tuple[tuple[int, str], tuple[int, str]]],
    row: dict[int, str],
    chance: random.Random,
) -> dict[int, str]:
    """A row around a pair: the other factors in random order, each at the choice with most missing pairs."""
    others = [each for each in factors if each not in row]
    chance.shuffle(others)
    for factor in others:
        choices = list(factors[factor])
        chance.shuffle(choices)
        row[factor] = max(
            choices,
            key=lambda choice: sum(_pair((factor, choice), each) in missing for each in row.items()),
        )
    return row


def _pair(one: tuple[int, str], two: tuple[int, str]) -> tuple[tuple[int, str], tuple[int, str]]:
    return (one, two) if one[0] < two[0] else (two, one)


def _pairs(row: Mapping[int, str]) -> set[tuple[tuple[int, str], tuple[int, str]]]:
    return {(one, two) for one, two in itertools.combinations(sorted(row.items()), 2)}
