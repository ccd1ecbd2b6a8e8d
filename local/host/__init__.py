"""The function host of one machine: runs function_app.py from its own metadata, with the real host's semantics."""
