"""From a push to a queued deploy, in one transaction."""
