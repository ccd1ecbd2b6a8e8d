"""End-to-end tests: real queue, tables and function host, against the simulated tenant and the oracle."""
