"""Who sells and who buys, as invoices name them: the vendor's own data, and how each customer wants to be invoiced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, insert, select, update

from ombud.accounts import Customer
from ombud.billing.basis import Address, Buyer, Endpoint, Seller, VatCategory
from ombud.db import Json, Transaction, metadata
from ombud.errors import BadAddress, BadField, SellerMissing
from ombud.mail.address import parse_address

seller_table = Table(
    "seller",
    metadata,
    Column("id", Integer, primary_key=True),  # always 1
    Column("about", Json, nullable=False),
)

payer_table = Table(
    "payer",
    metadata,
    Column("customer_id", Integer, ForeignKey("customer.id"), primary_key=True, autoincrement=False),
    *(
        Column(name, Text, nullable=False)
        for name in (
            "vat_number", "street", "extra", "postal_code", "city", "country", "endpoint", "reference", "order_number",
            "cost_center", "number", "contact", "email",
        )
    ),
)  # fmt: skip

#: The member states of the EU, where a business accounts for the VAT itself.
EU = frozenset((
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL",
    "PT", "RO", "SE", "SI", "SK",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Payer:
    """How one customer wants to be invoiced, beside what is known of it anyway (name, organisation number, language)."""

    vat_number: str = ""
    street: str = ""
    extra: str = ""
    postal_code: str = ""
    city: str = ""
    country: str = "SE"
    endpoint: str = ""  # 0007:5566778899; "" stands for the organisation number's
    reference: str = ""  # "er referens": public buyers cannot be invoiced without one
    order_number: str = ""
    cost_center: str = ""
    number: str = ""  # the customer's number in the vendor's ledger
    contact: str = ""
    email: str = ""


PAYER_FIELDS = tuple(Payer.__dataclass_fields__)


def put_payer(tx: Transaction, customer_id: int, payer: Payer) -> bool:
    """Say how a customer wants to be invoiced. Says whether anything changed. Raises BadField or BadAddress."""
    check_payer(payer)
    values = asdict(payer)
    mine = payer_table.c.customer_id == customer_id
    known = tx.execute(select(payer_table).where(mine)).mappings().one_or_none()
    if known is None:
        tx.execute(insert(payer_table).values(customer_id=customer_id, **values))
        return payer != Payer()
    if all(known[name] == value for name, value in values.items()):
        return False
    tx.execute(update(payer_table).where(mine).values(**values))
    return True


def payer_of(tx: Transaction, customer_id: int) -> Payer:
    return load_payers(tx, customer_id).get(customer_id, Payer())


def load_payers(tx: Transaction, customer_id: int | None = None) -> Mapping[int, Payer]:
    """Everyone's who has said anything, by customer."""
    query = select(payer_table)
    if customer_id is not None:
        query = query.where(payer_table.c.customer_id == customer_id)
    return {row.customer_id: Payer(*(getattr(row, name) for name in PAYER_FIELDS)) for row in tx.execute(query)}


def check_payer(payer: Payer) -> None:
    """Refuse what cannot be right. Raises BadField or BadAddress."""
    for name in PAYER_FIELDS:
        value = getattr(payer, name)
        if value and not value.isprintable():
            raise BadField(field=name, reason="it holds a character that cannot be printed")
        if len(value) > 200:
            raise BadField(field=name, reason="it is longer than 200 characters")
    if not (len(payer.country) == 2 and payer.country.isascii() and payer.country.isupper()):
        raise BadField(field="country", reason="it must be two letters, such as SE")
    try:
        Endpoint.parse(payer.endpoint)
    except ValueError as error:
        raise BadField(field="endpoint", reason=str(error)) from error
    if payer.email:
        try:
            parse_address(payer.email)
        except BadAddress as error:
            raise BadField(field="email", reason=str(error.details["reason"])) from error


def buyer_of(customer: Customer, payer: Payer) -> Buyer:
    """The customer as an invoice names it, with what is known of it today."""
    return Buyer(
        customer_id=customer.id,
        slug=customer.slug,
        name=customer.name,
        org_number=customer.org_number,
        vat_number=payer.vat_number or vat_number_of(customer.org_number),
        address=Address(payer.street, payer.extra, payer.postal_code, payer.city, payer.country),
        endpoint=Endpoint.parse(payer.endpoint),
        reference=payer.reference,
        order_number=payer.order_number,
        cost_center=payer.cost_center,
        number=payer.number,
        contact=payer.contact or customer.contact_name,
        email=payer.email or customer.contact_email,
        language=customer.language,
    )


def vat_category(buyer: Buyer) -> VatCategory:
    """A business in another EU country accounts for the VAT itself; everyone else is charged it."""
    abroad = buyer.address.country in EU - {"SE"} and buyer.vat_number.startswith(buyer.address.country)
    return VatCategory.REVERSE_CHARGE if abroad else VatCategory.STANDARD


def vat_number_of(org_number: str) -> str:
    """That of a Swedish company: SE, its organisation number, 01."""
    digits = digits_of(org_number)
    return f"SE{digits}01" if digits else ""


def digits_of(text: str) -> str:
    return "".join(one for one in text if one.isascii() and one.isdecimal())


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return bool(digits) and sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def is_org_number(text: str) -> bool:
    """Whether it is ten digits, with or without the hyphen, of which the last checks the others."""
    digits = digits_of(text)
    return len(digits) == 10 and luhn(digits) and text in (digits, f"{digits[:6]}-{digits[6:]}")


# --- the vendor ----------------------------------------------------------------------------------------------------


def put_seller(tx: Transaction, seller: Seller) -> bool:
    """Say what the vendor's invoices say of it. Says whether anything changed. Raises BadField."""
    for fault in seller_faults(seller):
        raise BadField(field=fault[0], reason=fault[1])
    about = asdict(seller)
    known = tx.execute(select(seller_table.c.about)).scalar_one_or_none()
    if known is None:
        tx.execute(insert(seller_table).values(id=1, about=about))
    elif known == about:
        return False
    else:
        tx.execute(update(seller_table).values(about=about))
    return True


def load_seller(tx: Transaction) -> Seller:
    """Raises SellerMissing when nobody has said who sells."""
    if (seller := seller_or_none(tx)) is None:
        raise SellerMissing(missing="all of them")
    return seller


def seller_or_none(tx: Transaction) -> Seller | None:
    """None when nobody has said who sells."""
    about: dict[str, Any] | None = tx.execute(select(seller_table.c.about)).scalar_one_or_none()
    if about is None:
        return None
    endpoint = about["endpoint"]
    return Seller(
        **{**about, "address": Address(**about["address"]), "endpoint": Endpoint(**endpoint) if endpoint else None}
    )


def seller_faults(seller: Seller) -> list[tuple[str, str]]:
    """What is wrong with the vendor's data: field and reason."""
    faults = []
    if not seller.name.strip():
        faults.append(("name", "it is missing"))
    if not is_org_number(seller.org_number):
        faults.append(("org_number", "it must be ten digits with a right check digit, such as 556677-8899"))
    if seller.vat_number != vat_number_of(seller.org_number):
        faults.append(
            ("vat_number", f"it must be {vat_number_of(seller.org_number) or 'SE, the organisation number, 01'}")
        )
    if seller.bankgiro and not (len(digits_of(seller.bankgiro)) in (7, 8) and luhn(digits_of(seller.bankgiro))):
        faults.append(("bankgiro", "it must be seven or eight digits with a right check digit, such as 5050-1055"))
    if seller.plusgiro and not (2 <= len(digits_of(seller.plusgiro)) <= 8 and luhn(digits_of(seller.plusgiro))):
        faults.append(("plusgiro", "it must be two to eight digits with a right check digit"))
    if not (seller.bankgiro or seller.plusgiro or seller.iban):
        faults.append(("bankgiro", "one of bankgiro, plusgiro and iban must be there, or nobody can pay"))
    for name in ("street", "postal_code", "city"):
        if not getattr(seller.address, name).strip():
            faults.append((name, "it is missing; an invoice must have the seller's address"))
    if not 0 < seller.payment_days <= 365:
        faults.append(("payment_days", "it must be 1 to 365"))
    return faults


def with_default_vat_number(seller: Seller) -> Seller:
    return seller if seller.vat_number else replace(seller, vat_number=vat_number_of(seller.org_number))
