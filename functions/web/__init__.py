"""What stands behind the HTTP trigger: routes, pages, requests, answers. Imported on the first HTTP request only."""
