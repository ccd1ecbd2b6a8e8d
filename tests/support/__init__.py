"""What tests of more than one folder share: builders, fakes with memory, the oracle, worlds to act in."""
