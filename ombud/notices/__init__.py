"""Telling others: letters to people, and webhooks, each kept until it has been told."""
