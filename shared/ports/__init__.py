"""Protocols of everything outside the domain.

A read that returns is complete. What cannot be reached raises `Unavailable`; a lost ETag race raises `Conflict`.
"""
