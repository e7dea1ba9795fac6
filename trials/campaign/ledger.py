"""The trial's own account of every customer. It shares no code with the product: what it expects it has worked out itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

STOP = "2024-05-31T22:00:00+00:00"  # midnight in Stockholm after the last day


@dataclass
class Entry:
    """What has happened to one customer."""

    customer_id: int
    slug: str
    supplier: bool
    told: bool = False
    dead: bool = False  # the contact's letters come back
    opened: bool = False
    alternative: str = ""
    route: bool = False
    records: str = "missing"  # missing | spreading | ok
    proven: dict[str, bool] = field(default_factory=dict)  # by alternative
    live: str = ""  # the alternative that its mail goes by
    rolled_back: bool = False
    extension: str = ""  # "", extension or exemption

    def stage(self, now: datetime) -> str:
        step = self._step()
        if step == "live":
            return step
        if self.extension == "exemption":
            return "exempt"
        if self.extension:
            return "extended"
        # What is live by an earlier choice goes on leaving.
        return "stopped" if now >= datetime.fromisoformat(STOP) and not self.live else step

    def _step(self) -> str:
        if not self.alternative:
            if self.opened:
                return "opened"
            return "reached" if self.told and not self.dead else "not_reached"
        if self.live == self.alternative:
            return "live"
        if self.alternative == "own":
            if not self.route:
                return "chosen"
            return "proven" if self.proven.get("own") else "setting_up"
        if self.records != "ok":
            return "setting_up"
        return "proven" if self.proven.get("mailgun") else "verified"

    def ball(self, now: datetime) -> str:
        """Who may be written to: `customer`, `it_supplier`, or one that is never reminded (`vendor`, `dns`, `nobody`)."""
        stage, step = self.stage(now), self._step()
        if stage in ("live", "exempt"):
            return "nobody"
        if step == "not_reached":
            return "vendor"
        if step in ("reached", "opened"):
            return "customer"
        if step == "setting_up" and self.alternative == "mailgun":
            return "dns" if self.records == "spreading" else "it_supplier" if self.supplier else "customer"
        return "owner" if step == "chosen" else "vendor"

    @property
    def done(self) -> bool:
        return self._step() == "live" or self.extension == "exemption"
