"""Handing a locked month over to finance: CSV, JSON, Peppol, SIE, Fortnox, PDF. One module for each format."""

from ombud.billing.exports.formats import Format, Order
from ombud.billing.exports.handover import Exported, Ready, export, ready
from ombud.billing.exports.runs import Run, runs_of
from ombud.billing.exports.sie import Accounts

__all__ = ["Accounts", "Exported", "Format", "Order", "Ready", "Run", "export", "ready", "runs_of"]
