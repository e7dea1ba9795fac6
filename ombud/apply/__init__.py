"""Brings an installation to what a file asks for: regions, customers, routes, products, prices, campaigns, domains and keys.

    read(path, environment) -> Wanted          everything is checked that can be without the database
    apply(database, seal, wanted, now) -> [Step]     one transaction; a second time it changes nothing. What would strike customers
                                                     who do not know of it needs `yes`

What the file does not name stays as it is: `apply` adds and changes, and takes nothing away but a customer's assignment to
a route that the file says the customer does not have. `[vendor] name` is for whoever reads the file; nothing uses it.
"""

from ombud.apply.applying import apply, changing, is_signed, may_take, put_wanted_route
from ombud.apply.customers import check_slug, check_text, checked_customer
from ombud.apply.reading import check_route, read, settings_in
from ombud.apply.step import Done, Step
from ombud.apply.wanted import Dkim, Wanted, WantedCustomer, WantedDomain, WantedProduct, WantedRoute

__all__ = [
    "Dkim",
    "Done",
    "Step",
    "Wanted",
    "WantedCustomer",
    "WantedDomain",
    "WantedProduct",
    "WantedRoute",
    "apply",
    "changing",
    "check_route",
    "check_slug",
    "check_text",
    "checked_customer",
    "is_signed",
    "may_take",
    "put_wanted_route",
    "read",
    "settings_in",
]
