"""The data that people and programs read."""
