"""HTTP below the API and the webhook: the server, access log, authentication, rate limits and problems."""
