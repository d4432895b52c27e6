"""Schedules of other tools, read from what they export: one room a tool, all giving the same `Taken`."""
