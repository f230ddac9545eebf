"""HTTP below the API and the webhook: server, access log, authentication, problems."""
