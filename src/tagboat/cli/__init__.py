"""The command line: each command calls the API of a server."""
