"""Faults between a workload and one dependency of it: a proxy stands there, and only this workload goes through it."""
