"""The initial content of a tenant: generated from a seed, or exactly as a test describes it."""
