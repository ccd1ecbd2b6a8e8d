"""HR onboarding: events accepted, taken up when they are due, worked on, assessed, and their ends told."""
