"""The SMTP door: takes submissions in over TLS and hands each one on; it speaks SMTP and decides nothing."""

from ombud.smtp.door import SubmissionDoor
from ombud.smtp.openfiles import raise_open_files

__all__ = ["SubmissionDoor", "raise_open_files"]
