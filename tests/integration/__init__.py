"""Each adapter against its emulator, and the emulators themselves as processes."""

PATIENCE_S = 120.0
"""How long anything is waited for: far above what is measured, since a busy machine is no fault."""
