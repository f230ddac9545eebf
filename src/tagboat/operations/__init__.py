"""Everything a person or program may do, and the rules for it.

Frozen values come in and go out; errors are those of `tagboat.core.errors`. Nothing here knows
HTTP, forms, SQL or an engine's API: API, pages and command line are faces of this room.
"""
