"""The tenant as an HTTP server, and the way of a call from its path to its answer."""
