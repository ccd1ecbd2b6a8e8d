"""One user: read, plan, apply, record; the write limiter, removal permits, the seat queue."""
