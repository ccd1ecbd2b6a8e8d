"""What stands behind the HTTP trigger: routes and shapes. Imported on the first HTTP request only."""
