"""What a tenant holds at first: generated from a seed, or exactly as a test describes it."""
