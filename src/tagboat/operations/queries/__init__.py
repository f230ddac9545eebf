"""The read model: values as people see them, read in a fixed number of statements."""
