"""Polling: asks registries for new tags, on schedule and on request, and deploys the newest."""
