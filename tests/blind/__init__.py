"""Blind checks: switches of the simulated tenant at random positions, which the first-contact check must identify."""
