"""Texts of Graph without anything that belongs to a tenant: only words of a fixed list pass."""

from __future__ import annotations

import re

WORDS = frozenset({
    "a", "aadpremiumlicenserequired", "absolute", "accepted", "access", "action", "address", "advanced", "after",
    "again", "age", "already", "also", "an", "and", "another", "any", "application", "are", "assigned",
    "assignment", "assignments", "at", "authentication", "available", "bad", "badly", "batch", "be", "because",
    "been", "before", "being", "body", "but", "by", "call", "cannot", "cast", "change", "changed", "changes",
    "clause", "client", "close", "code", "collection", "company", "complete", "concurrency", "concurrent",
    "conflict", "conflicting", "conflicts", "constraint", "contain", "contains", "content", "correspond",
    "corresponding", "could", "count", "country", "current", "currently", "date", "days", "deleted", "delta",
    "deltalink", "deltatoken", "denied", "dependency", "depends", "destination", "different", "directly",
    "directory", "does", "due", "each", "empty", "enabled", "entity", "eq", "error", "errors", "exceed",
    "exceeded", "exceeds", "exclusive", "exist", "exists", "expired", "failed", "filter", "find", "for",
    "forbidden", "form", "formed", "found", "from", "future", "get", "given", "group", "groups", "guid", "has",
    "have", "header", "id", "identifier", "identifiers", "in", "inherited", "insufficient", "internal", "invalid",
    "is", "it", "its", "json", "kind", "later", "length", "less", "license", "licensed", "licenses", "limit",
    "link", "location", "match", "maximum", "member", "members", "membership", "message", "method", "missing",
    "more", "most", "must", "mutually", "name", "named", "no", "not", "null", "number", "object", "objects", "of",
    "old", "older", "on", "one", "only", "operation", "operations", "option", "or", "order", "other", "pair",
    "pairs", "parameter", "parameters", "path", "payload", "permission", "permissions", "permitted", "plan",
    "plans", "please", "policy", "premium", "present", "privileges", "process", "properties", "property",
    "provided", "queried", "query", "read", "reference", "removal", "remove", "removed", "request", "requests",
    "required", "resource", "responses", "result", "results", "retry", "right", "same", "search", "segment",
    "server", "service", "services", "set", "shorter", "sku", "skuid", "source", "specified", "state", "step",
    "steps", "string", "subscribed", "subscription", "subscriptions", "support", "supported", "sync",
    "syncstatenotfound", "target", "tenant", "text", "than", "that", "the", "there", "these", "they", "this",
    "throttled", "time", "to", "token", "too", "type", "unable", "unauthorized", "unavailable", "unexpected",
    "unique", "unknown", "unsupported", "update", "url", "usage", "usagelocation", "use", "used", "user", "users",
    "valid", "value", "values", "version", "violation", "wait", "was", "were", "when", "which", "while", "with",
    "without", "write", "you", "your",
})  # fmt: skip
"""English words of Graph's published and observed error texts, in lower case."""

CODES = re.compile(r"[A-Za-z][A-Za-z_]{1,59}")
"""The form of Graph's error codes: letters and underscores (learn.microsoft.com/graph/errors)."""

MOST_TOKENS = 120


def known_text(text: str) -> str:
    """The known words of a text. Each run of anything else becomes `*`, so names, IDs and tokens do not pass."""
    kept: list[str] = []
    for chunk in text.split()[:MOST_TOKENS]:
        # A part of an ID can be a word: "a" or "be". So a chunk with any unknown part is unknown as a whole.
        word = chunk.strip(".,;:'\"()[]!?")
        shown = word if word.isascii() and word.lower() in WORDS else "*"
        if shown != "*" or kept[-1:] != ["*"]:
            kept.append(shown)
    return " ".join(kept)


def known_code(code: str) -> str:
    """An error code, or `*` for anything that has not the form of one."""
    return code if not code or CODES.fullmatch(code) else "*"
