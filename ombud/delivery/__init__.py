"""The one way out: `Delivery`, a worker that sends what is due; with each route's pace, breaker and retries."""

from ombud.delivery.outlet import Outlet
from ombud.delivery.worker import Delivery, MakeProvider

__all__ = ["Delivery", "MakeProvider", "Outlet"]
