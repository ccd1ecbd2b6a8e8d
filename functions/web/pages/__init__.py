"""The license center's page: server-rendered, for people in a browser session. One route table, as for the API."""
