"""Licenses as code: files say what each group assigns; a plan names everyone who would lose something."""
