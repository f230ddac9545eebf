"""The installation as a whole: its backups, their restore, and its removal."""
