"""Which requests to Graph are sent once more after their connection broke before an answer."""

from __future__ import annotations

from enum import Enum

REPEATED = "graph_request_repeated"
"""Extension of an httpx response: it answers a second attempt."""


class Repeat(Enum):
    """Whether a request whose connection broke before an answer is sent again, at once and on a new connection.

    NEVER: it is not sent again.
    IF_KEPT: it is sent again if the connection had been kept from an earlier request. Most likely the connection was
    closed while idle and Graph never got the request, but this is not certain. For writes that change nothing the
    second time.
    ALWAYS: for reads.
    """

    NEVER = "never"
    IF_KEPT = "if kept"
    ALWAYS = "always"
