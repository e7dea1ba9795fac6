"""Ombud: sends e-mail in your customers' names, authenticated, each customer by the way it has chosen."""

__version__ = "0.1.0"
