"""Docker Swarm as a runtime: a service for each workload."""
