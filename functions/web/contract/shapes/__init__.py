"""What answers look like, by resource; tests hold every answer to it. Times are ISO 8601 in UTC."""
