"""Price plans, invoice basis and exports; reads usage, never writes it.

plans.py, price.py     what a month costs: pure                planbook.py        the plans there are
subscriptions.py       who pays by which plan, from when       parties.py         seller and payers
drafts.py, close.py    preview and lock a month                ledger.py          what is locked, for good
credit.py              credits                                 statement.py       what a customer sees
alarms.py              before a surprise                       reconcile.py       ours against the provider's
whatif.py              the last months under another plan      exports/           files for others
"""

from ombud.billing.subscriptions import running_of, start, stop, subscriptions_of
from ombud.billing.whatif import Estimate, compare, estimate

__all__ = ["Estimate", "compare", "estimate", "running_of", "start", "stop", "subscriptions_of"]
