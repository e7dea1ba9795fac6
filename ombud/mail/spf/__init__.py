"""SPF (RFC 7208): records, their evaluation as a tree, and the record that ours would become part of."""

from ombud.mail.spf.check import MAX_LOOKUPS, MAX_VOIDS, Result, Step, Tree, Verdict, check_host, survey
from ombud.mail.spf.merge import Merged, merged
from ombud.mail.spf.record import BadRecord, Record, Term, parse, spf_texts

__all__ = [
    "MAX_LOOKUPS", "MAX_VOIDS", "BadRecord", "Merged", "Record", "Result", "Step", "Term", "Tree", "Verdict", "check_host",
    "merged", "parse", "spf_texts", "survey",
]  # fmt: skip
