"""The applications that may call, their permissions and tokens."""
