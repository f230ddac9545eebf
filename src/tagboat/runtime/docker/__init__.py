"""The Docker engine as a runtime.

Its API through aiodocker, the choice of ports, and the probes of its containers.
"""
