"""The command line of Seatkeeper, a client of its public HTTP API."""

__version__ = "0.1.0"
