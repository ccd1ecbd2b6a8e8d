"""Which requests to Graph are sent once more after their connection broke before an answer."""

from __future__ import annotations

from enum import Enum

REPEATED = "graph_request_repeated"
"""Extension of an httpx response: it answers a second attempt."""


class Repeat(Enum):
    """When a request is sent once more, at once and on a new connection: if its connection breaks before an answer, and

    NEVER: not even then.
    IF_KEPT: the connection had been kept from an earlier request. Most likely it was closed while idle and Graph never
    got the request, but nobody knows. For writes that change nothing the second time.
    ALWAYS: for reads.
    """

    NEVER = "never"
    IF_KEPT = "if kept"
    ALWAYS = "always"
