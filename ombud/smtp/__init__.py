"""The SMTP door: takes submissions in over TLS and hands each one on; it speaks SMTP and decides nothing."""

from ombud.smtp.door import SubmissionDoor

__all__ = ["SubmissionDoor"]
