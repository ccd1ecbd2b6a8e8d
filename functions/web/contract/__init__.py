"""The API's own description: answers, examples and required roles. Built when the description is requested."""
