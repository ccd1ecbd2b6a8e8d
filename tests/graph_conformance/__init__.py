"""The simulated tenant against recordings of first-contact runs."""
