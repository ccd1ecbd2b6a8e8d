"""HR onboarding: events are accepted, started when due, processed, assessed, and their results are sent."""
