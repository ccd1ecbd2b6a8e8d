"""Checks the English of the project: sentences that are too long, and words that docs/glossary.md does not define."""
