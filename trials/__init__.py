"""Slow trials beside the tests: each has a make target, prints figures, and passes or fails by what it counts, never by time."""
