"""The one way in: `Submissions.submit` for one message, `submit_batch` for one content to many."""

from ombud.submission.idempotency import Key, forget_older
from ombud.submission.incoming import Batch, Item, Options, Receipt, Submission
from ombud.submission.submit import Submissions

__all__ = ["Batch", "Item", "Key", "Options", "Receipt", "Submission", "Submissions", "forget_older"]
