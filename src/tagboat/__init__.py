"""Tagboat: push an image, and it is live, or the old one still is."""

__version__ = "0.1.0"
