"""Faults on what Kubernetes runs: pods that are deleted, and numbers of replicas that change."""
