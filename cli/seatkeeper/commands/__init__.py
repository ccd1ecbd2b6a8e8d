"""The commands, by the noun they are about. These modules import nothing that takes long to load."""
