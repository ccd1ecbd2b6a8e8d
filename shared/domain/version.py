"""The version of the product. The package, the API description and `GET /api/health` show it."""

VERSION = "0.2.0"
