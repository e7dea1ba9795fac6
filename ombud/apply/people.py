"""Whom the file names: customers' contacts, the vendor's own letters, and the webhooks of other systems."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ombud.accounts import Directory, load_directory, put_customer, put_product
from ombud.accounts.people import Role, load_people, put_person, remove_person
from ombud.accounts.vendor import OWN_PRODUCT, load_vendor, put_vendor
from ombud.apply.step import Done, Step
from ombud.apply.table import Table
from ombud.campaigns.mailing import automatic_campaigns, put_automatic
from ombud.db import Transaction
from ombud.domains import prove_domain
from ombud.errors import BadAddress, BadField, Misconfigured
from ombud.mail.address import parse_mailbox
from ombud.notices.webhooks import check_url, load_webhooks, put_webhook, secret_key
from ombud.routing import assign, load_facts
from ombud.seal import Seal

#: Who it was that did it, where that is kept.
PROOF = "apply"
_VENDOR_KEYS = ("customer", "sender", "reply_to", "signature", "phone", "route")


@dataclass(frozen=True, slots=True)
class WantedVendor:
    """The vendor's own letters: who it is to its own Ombud, and who signs."""

    customer: str
    sender: str
    reply_to: str = ""
    signature: str = ""
    phone: str = ""
    route: str = ""  # the way that they take; "": the file does not say


@dataclass(frozen=True, slots=True)
class WantedWebhook:
    slug: str
    url: str
    secret: str = field(default="", repr=False)  # "": keep the one that there is, or make one


@dataclass(frozen=True, slots=True)
class WantedContact:
    """The contact of a customer in the list: may choose for it."""

    customer: str
    name: str
    email: str
    language: str
    before: str = ""  # the address that the customer's contact had until now


# --- reading -------------------------------------------------------------------------------------------------------


def vendor_of_table(table: Table) -> WantedVendor | None:
    """What [vendor] says of letters; None: nothing. Raises Misconfigured."""
    values = {name: table.text(name, "") for name in _VENDOR_KEYS}
    if not any(values.values()):
        return None
    if not values["customer"] or not values["sender"]:
        table.refuse(
            "letters need both customer (the vendor's own slug) and sender (such as `Vendor <post@vendor.example>`)"
        )
    for name in ("sender", "reply_to"):
        try:
            if values[name]:
                parse_mailbox(values[name])
        except BadAddress as error:
            table.refuse(f"{name} cannot be used: {error.details['reason']}")
    return WantedVendor(**values)


def webhook_of_table(table: Table) -> WantedWebhook:
    """One [[webhooks]] table. Raises Misconfigured."""
    webhook = WantedWebhook(table.slug(), table.text("url"), table.text("secret", ""))
    table.close()
    try:
        check_url(webhook.url)
        if webhook.secret:
            secret_key(webhook.secret)
    except BadField as error:
        table.refuse(f"{error.details['field']}: {error.details['reason']}")
    return webhook


# --- applying ------------------------------------------------------------------------------------------------------


def put_contacts(tx: Transaction, contacts: list[WantedContact], now: datetime) -> list[Step]:
    """Bring the contacts up to date. One whose address has changed takes the place of the earlier one."""
    customers = load_directory(tx).customers
    known = {(one.customer_id, one.email): one for one in load_people(tx) if one.role is Role.CONTACT}
    steps = []
    for contact in contacts:
        customer = customers[contact.customer]
        email = str(parse_mailbox(contact.email).address)
        there = known.get((customer.id, email))
        same = there is not None and (there.name, there.language, there.may_choose) == (
            contact.name,
            contact.language,
            True,
        )
        if not same:
            put_person(
                tx,
                customer.id,
                contact.name,
                contact.email,
                now,
                may_choose=True,
                language=contact.language,
                phone=there.phone if there else "",
            )
        earlier = known.get((customer.id, contact.before))
        if earlier is not None and earlier.email != email:
            remove_person(tx, earlier.id, now)
        steps.append(Step(Done.of(there, not same), "person", f"{contact.customer} / {email}", contact.name))
    return steps


def put_wanted_vendor(tx: Transaction, vendor: WantedVendor | None, name: str, now: datetime) -> list[Step]:
    """Have letters sent in the vendor's name: its customer, the product `ombud`, the sender's domain, and the route."""
    if vendor is None:
        return []
    steps = _own_customer(tx, vendor, name, now)
    directory = load_directory(tx)
    customer, product = directory.customer(vendor.customer), directory.product(OWN_PRODUCT)
    domain = parse_mailbox(vendor.sender).address.domain
    proved = prove_domain(tx, domain, customer, PROOF, "the sender of the vendor's own letters", now)
    steps.append(Step(Done.ADDED if proved else Done.SAME, "domain", domain, customer.slug))
    if vendor.route:
        if (route := load_facts(tx).route(vendor.route)) is None:
            raise Misconfigured(reason=f"[vendor]: there is no route {vendor.route}")
        if route.customer_id not in (None, customer.id):
            raise Misconfigured(reason=f"[vendor]: the route {vendor.route} is another customer's own")
        before = load_facts(tx).assigned.get((None, product.id))
        changed = assign(tx, None, product.id, route.id, now)
        steps.append(Step(Done.of(before, changed), "assignment", f"everyone / {OWN_PRODUCT}", vendor.route))
    known = load_vendor(tx)
    changed = put_vendor(
        tx, name or customer.name, customer, product, vendor.sender, now,
        reply_to=vendor.reply_to, signature=vendor.signature, phone=vendor.phone,
    )  # fmt: skip
    steps.append(Step(Done.of(known, changed), "vendor", customer.slug, vendor.sender))
    return steps


def _own_customer(tx: Transaction, vendor: WantedVendor, name: str, now: datetime) -> list[Step]:
    directory: Directory = load_directory(tx)
    known = vendor.customer in directory.customers
    if not known:
        put_customer(tx, vendor.customer, name or vendor.customer, now)
    steps = [Step(Done.SAME if known else Done.ADDED, "customer", vendor.customer, name)]
    changed = put_product(tx, OWN_PRODUCT, "Ombud", now)
    steps.append(Step(Done.of(directory.products.get(OWN_PRODUCT), changed), "product", OWN_PRODUCT, "Ombud"))
    return steps


def put_letters_mode(tx: Transaction, campaign: str, mode: str, now: datetime) -> Step:
    """Have the campaign's letters go out by themselves (`automatic`), or by hand only."""
    on = mode == "automatic"
    before = campaign in automatic_campaigns(tx)
    if on != before:
        put_automatic(tx, campaign, on, PROOF, now)
    return Step(Done.CHANGED if on != before else Done.SAME, "letters", campaign, mode)


def put_wanted_webhooks(tx: Transaction, seal: Seal, webhooks: tuple[WantedWebhook, ...], now: datetime) -> list[Step]:
    known = load_webhooks(tx, seal) if webhooks else {}
    return [
        Step(
            Done.of(known.get(one.slug), put_webhook(tx, seal, one.slug, one.url, one.secret, now)),
            "webhook",
            one.slug,
            one.url,
        )
        for one in webhooks
    ]
