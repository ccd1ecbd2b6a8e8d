"""What is known about a managed group: its assignment, the groups in it, its status."""
