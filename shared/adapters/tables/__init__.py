"""Table Storage: one module per noun, each with its row format; azure.data.tables and its exceptions stop here."""
