"""Batches of writes of the level `load`, as values that can be recorded: how many were accepted together, and how the
others were rejected."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shared.domain.catalog import Catalog
from shared.domain.first_contact import Answer, Observation
from shared.domain.first_contact_observations import PERCENTAGE, Json, available, error_of, observe, rows
from shared.domain.first_contact_words import known_code
from shared.domain.graph_errors import is_contention
from shared.domain.ids import NO_PLANS, Plans, ServicePlanId

STAGES: Mapping[str, int] = {"one": 1, "pair": 2, "five": 5, "twenty": 20}
"""Steps in their order, and the license writes that each sends at once."""

WIDE_REMOVAL = "removeTogether"
"""The step that removes the licenses of all test users at once."""

USERS = 20
"""Test users of a run: as many as one $batch has requests (learn.microsoft.com/graph/json-batching)."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Results of the writes of a run. `at_once`: most writes of one request of which none was rejected because of
    others; `rejected`: writes that were. `one_s`, `twenty_s`: seconds of a single write, and of 20 together."""

    at_once: int
    rejected: int
    throttled: int
    one_s: float | None
    twenty_s: float | None


def items(answer: Answer, count: int) -> list[Answer]:
    """The answers to the requests of a batch, in their order; status 0 for a missing one. A batch that was rejected as
    a whole answers each request."""
    body = answer.body
    found = body.get("responses") if isinstance(body, Mapping) else None
    if not isinstance(found, list):
        return [answer if answer.status and not answer.ok else Answer(0)] * count
    by_id = {str(each.get("id")): each for each in found if isinstance(each, Mapping)}
    return [_item(by_id.get(str(number))) for number in range(count)]


def _item(response: Mapping[str, object] | None) -> Answer:
    status = response.get("status") if response else None
    if response is None or not isinstance(status, int):
        return Answer(0)
    headers = response.get("headers")
    lowered = {str(k).lower(): str(v) for k, v in headers.items()} if isinstance(headers, Mapping) else {}
    return Answer(status, lowered, response.get("body"))


def is_contended(answer: Answer) -> bool:
    """Whether Graph rejected a write because of others in flight, so that it says nothing else."""
    return not answer.ok and is_contention(answer.status, *error_of(answer.body))


def observe_batch(answer: Answer, count: int) -> Observation:
    """The recordable part of an answer to `count` writes: numbers of results, and the first rejection. `order` is
    `some` if a write behind a throttled one was accepted."""
    answered = items(answer, count)
    contended = [each for each in answered if is_contended(each)]
    throttled = [each for each in answered if each.status == 429]
    odd = [each for each in answered if not each.ok]
    shown = next(iter([*contended, *throttled, *odd, *answered]))
    seen = observe(replace(shown, seconds=answer.seconds))
    traits = {
        "writes": str(count),
        "accepted": str(sum(each.ok for each in answered)),
        "concurrent": str(len(contended)),
        "throttled": str(len(throttled)),
    }
    if contended:
        code, _ = error_of(contended[0].body)
        traits["rejection"] = f"{contended[0].status} {known_code(code)}"
    statuses = [each.status for each in answered]
    if throttled and any(200 <= status < 300 for status in statuses[statuses.index(429) :]):
        traits["order"] = "some"
    return replace(seen, status=answer.status, traits=traits, shape={})


def level_of(answers: Sequence[Answer]) -> float | None:
    """How full the fullest limit is, as the answers say it (1.0: full); None if no answer does."""
    found = [each.headers[PERCENTAGE] for each in answers if PERCENTAGE in each.headers]
    try:
        return max((float(each) for each in found), default=None)
    except ValueError:
        return None


def quota_kind(before: float | None, after: float | None) -> str:
    """How writes are counted, from the level before and after a pause without writes of this run: a window stays as
    full, a bucket drains. Empty if it cannot be known."""
    if before is None or after is None:
        return ""
    return "bucket" if after < before - 0.005 else "window"


def exclusion_form(message: str) -> str:
    """The wording of a rejection because two plans exclude each other; empty for another text. Sources: switch 4 of
    local/tenant/switches.py."""
    if re.search("conflicting service plan pair", message, re.IGNORECASE):
        return "conflictingPairs"
    if re.search("conflicts? with", message, re.IGNORECASE):
        return "conflictsWith"
    if not re.search("mutually exclusive", message, re.IGNORECASE):
        return ""
    return "withoutBlank" if re.search(r"plans \S+,\S+ are", message, re.IGNORECASE) else "mutuallyExclusive"


def rival_of(body: object, sku_id: str) -> str:
    """A product of the tenant with an available license that Microsoft lists as exclusive with another one; empty if
    there is none. `body`: the answer to GET /subscribedSkus."""
    products = {str(each.get("skuId")).lower(): _plans(each) for each in rows(body) if available(each) > 0}
    mine, catalog = products.get(sku_id, NO_PLANS), Catalog({})
    rivals = (other for other, plans in sorted(products.items()) if catalog.listed_exclusive(mine, plans))
    return next((other for other in rivals if other != sku_id), "")


def _plans(product: Json) -> Plans:
    found = product.get("servicePlans")
    plans = [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
    users = (each for each in plans if str(each.get("appliesTo")).lower() != "company")
    return frozenset(ServicePlanId(str(each.get("servicePlanId")).lower()) for each in users)


def load_result(observed: Mapping[str, Observation]) -> LoadResult | None:
    """None for a run that sent no batch of writes."""
    seen = [observed[step] for step in (*STAGES, WIDE_REMOVAL) if step in observed]
    if not seen:
        return None
    clear = [number(each, "writes") for each in seen if number(each, "accepted") == number(each, "writes")]
    one, twenty = observed.get("one"), observed.get("twenty")
    return LoadResult(
        at_once=max(clear, default=0),
        rejected=sum(number(each, "concurrent") for each in seen),
        throttled=sum(number(each, "throttled") for each in seen),
        one_s=one.seconds if one is not None and number(one, "accepted") else None,
        twenty_s=twenty.seconds if twenty is not None and number(twenty, "accepted") == USERS else None,
    )


def number(seen: Observation, name: str) -> int:
    """A trait that is a number."""
    return int(seen.traits.get(name, "0"))


def concurrency(observed: Mapping[str, Observation]) -> str:
    """The position of assumption 1, from the batch with most writes: `accepted`, `some`, or `one` at a time. Empty if a
    write had another result."""
    found = [observed[step] for step in ("twenty", "five", "pair") if step in observed]
    if not found:
        return ""
    accepted, rejected = number(found[0], "accepted"), number(found[0], "concurrent")
    if accepted + rejected < number(found[0], "writes"):
        return ""
    if any(number(each, "concurrent") for each in found):
        return "one" if accepted <= 1 else "some"
    return "accepted"


def rejection(observed: Mapping[str, Observation]) -> str:
    """The position of assumption 2: status and code of the first rejection because of others."""
    found = (observed[step].traits.get("rejection", "") for step in (*STAGES, WIDE_REMOVAL) if step in observed)
    return next(filter(None, found), "")
