"""The API's own description: what answers look like, examples, who may call. Read when the description is asked for."""
