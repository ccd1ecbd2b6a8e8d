"""Everything behind the triggers. Imports point inward: bootstrap > adapters, handlers, config > ports > domain."""
