"""The HTTP API: each route parses, calls one operation, and shows the result."""
