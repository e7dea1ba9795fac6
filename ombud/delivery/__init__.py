"""The one way out: `Delivery`, a worker that sends what is due, with each route's pace, breaker and retries; and `Following`, which looks after
mail that waits when the facts change."""

from ombud.delivery.following import Following
from ombud.delivery.outlet import Outlet
from ombud.delivery.worker import Delivery, MakeProvider

__all__ = ["Delivery", "Following", "MakeProvider", "Outlet"]
