"""An app directory for the stack."""
