"""Histories rather than cases: kills, races, faults that last, hostile input, made-up requests, simulations."""
