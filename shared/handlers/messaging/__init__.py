"""What becomes of a message: done, retried, or kept as a dead letter."""
