"""Data of a managed group: its assignment, the groups in it, its status."""
