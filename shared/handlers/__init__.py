"""Eight packages, each named by a noun. Handlers use ports and values: no SDK, no environment, no own clock."""
