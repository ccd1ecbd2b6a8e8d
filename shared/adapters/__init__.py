"""The only place for SDKs: their exceptions and raw shapes stop here."""
