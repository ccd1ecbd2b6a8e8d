"""The license center's page, for people in a browser session: a module for each noun, with its GET and POST routes."""
