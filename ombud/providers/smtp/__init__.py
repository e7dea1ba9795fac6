"""The provider `smtp`: any SMTP server, by its host name: the customer's own, a smart host, the vendor's."""

from __future__ import annotations

from ombud.providers.smtp.route import SmtpRoute, Tls
from ombud.providers.smtp.sending import Counts, Smtp

__all__ = ["Counts", "Smtp", "SmtpRoute", "Tls"]
