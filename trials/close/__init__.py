"""Closing a month while the process is killed again and again: each customer must have exactly one invoice basis in the end."""
