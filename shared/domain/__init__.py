"""Pure rules on values: the standard library only, no I/O, no clock, no environment, no JSON of Graph."""
