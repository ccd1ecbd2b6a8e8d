"""Microsoft Graph v1.0: one module per resource, the query options and how objects are shown."""
