"""Peppol BIS Billing 3.0: an invoice or a credit note as UBL 2.1, for a Swedish seller.

The order of the elements is that of the UBL schema; BT-n is the business term of EN 16931 that an element carries.
"""

from __future__ import annotations

from decimal import Decimal
from xml.etree import ElementTree as Tree

from ombud.billing.basis import Address, Basis, BasisLine, Buyer, Endpoint, Seller, VatCategory
from ombud.billing.exports.written import plain, price_for
from ombud.billing.money import Money
from ombud.billing.parties import digits_of
from ombud.billing.wording import number_text

CUSTOMIZATION = "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
PROFILE = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"
F_TAX = "Godkänd för F-skatt"  # SE-R-005: exactly these words
#: The scheme of Swedish organisation numbers in the code lists of Peppol.
SWEDISH = "0007"
CREDIT_TRANSFER = "30"  # UNCL4461; SE-R-011 and -012: for bankgiro and plusgiro too
_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
_INVOICE, _CREDIT_NOTE = "380", "381"  # UNCL1001


def write(basis: Basis) -> bytes:
    """The document: the same bytes for the same basis. Whoever exports has asked for `complaints` first."""
    return _Document(basis).bytes()


class _Document:
    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        # A credit note says how much is given back: its amounts are positive, and the ledger's are negative (BIS 3, 2.4).
        self._sign = -1 if basis.is_credit else 1
        self._kind = "CreditNote" if basis.is_credit else "Invoice"
        self._language = basis.buyer.language
        spaces = {"xmlns": f"{_UBL}{self._kind}-2", "xmlns:cac": f"{_UBL}CommonAggregateComponents-2"}
        self._root = Tree.Element(self._kind, {**spaces, "xmlns:cbc": f"{_UBL}CommonBasicComponents-2"})

    def bytes(self) -> bytes:
        self._head()
        self._seller(_in(self._root, "cac:AccountingSupplierParty"), self._basis.seller)
        self._buyer(_in(self._root, "cac:AccountingCustomerParty"), self._basis.buyer)
        self._payment()
        self._tax()
        self._totals()
        for line in self._basis.lines:
            self._line(line)
        Tree.indent(self._root)
        text = Tree.tostring(self._root, encoding="unicode")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()

    # --- head ---

    def _head(self) -> None:
        basis, root, buyer = self._basis, self._root, self._basis.buyer
        _put(root, "cbc:CustomizationID", CUSTOMIZATION)  # BT-24
        _put(root, "cbc:ProfileID", PROFILE)  # BT-23
        _put(root, "cbc:ID", basis.number)  # BT-1
        _put(root, "cbc:IssueDate", basis.issued.isoformat())  # BT-2
        if not basis.is_credit:
            _put(root, "cbc:DueDate", basis.due.isoformat())  # BT-9
        _put(root, f"cbc:{self._kind}TypeCode", _CREDIT_NOTE if basis.is_credit else _INVOICE)  # BT-3
        _put(root, "cbc:Note", basis.reason)  # BT-22: R002 allows one
        _put(root, "cbc:DocumentCurrencyCode", basis.currency)  # BT-5
        _put(root, "cbc:AccountingCost", buyer.cost_center)  # BT-19
        _put(root, "cbc:BuyerReference", buyer.reference)  # BT-10
        period = _in(root, "cac:InvoicePeriod")
        _put(period, "cbc:StartDate", basis.start.isoformat())  # BT-73
        _put(period, "cbc:EndDate", basis.end.isoformat())  # BT-74
        if buyer.order_number:
            _put(_in(root, "cac:OrderReference"), "cbc:ID", buyer.order_number)  # BT-13
        if basis.original:  # 17 kap. 22 § mervärdesskattelagen: unmistakably that one
            reference = _in(root, "cac:BillingReference", "cac:InvoiceDocumentReference")
            _put(reference, "cbc:ID", basis.original.number)  # BT-25
            _put(reference, "cbc:IssueDate", basis.original.issued.isoformat())  # BT-26

    # --- parties ---

    def _seller(self, at: Tree.Element, seller: Seller) -> None:
        party = _in(at, "cac:Party")
        _endpoint(party, seller.endpoint or swedish_endpoint(seller.org_number))  # BT-34
        _put(_in(party, "cac:PartyName"), "cbc:Name", seller.name)
        _address(party, seller.address)
        if seller.vat_number:
            _tax_scheme(party, seller.vat_number, "VAT")  # BT-31
        if seller.f_tax:
            _tax_scheme(party, F_TAX, "TAX")  # BT-32
        _legal(party, seller.name, seller.org_number, f"Säte: {seller.seat}" if seller.seat else "")
        _contact(party, seller.contact, seller.phone, seller.email)

    def _buyer(self, at: Tree.Element, buyer: Buyer) -> None:
        party = _in(at, "cac:Party")
        _endpoint(party, buyer.endpoint or swedish_endpoint(buyer.org_number))  # BT-49
        if buyer.number:
            _put(_in(party, "cac:PartyIdentification"), "cbc:ID", buyer.number)  # BT-46
        _put(_in(party, "cac:PartyName"), "cbc:Name", buyer.name)
        _address(party, buyer.address)
        if any(one.category is VatCategory.REVERSE_CHARGE for one in self._basis.vats):
            _tax_scheme(party, buyer.vat_number, "VAT")  # BT-48; a Swedish buyer need not have one
        _legal(party, buyer.name, buyer.org_number if buyer.address.country == "SE" else "", "")
        _contact(party, buyer.contact, "", buyer.email)

    # --- payment and sums ---

    def _payment(self) -> None:
        basis, seller = self._basis, self._basis.seller
        if basis.is_credit:
            words = {"sv": "Krediterar faktura {}", "en": "Credits invoice {}"}[self._language]
            _put(
                _in(self._root, "cac:PaymentTerms"),
                "cbc:Note",
                words.format(basis.original.number if basis.original else ""),
            )
            return
        giros = (("SE:BANKGIRO", digits_of(seller.bankgiro)), ("SE:PLUSGIRO", digits_of(seller.plusgiro)))
        accounts = [(number, branch) for branch, number in giros if number]
        if seller.iban:
            accounts.append((seller.iban.replace(" ", ""), seller.bic))
        for account, branch in accounts:
            means = _in(self._root, "cac:PaymentMeans")
            _put(means, "cbc:PaymentMeansCode", CREDIT_TRANSFER)  # BT-81
            _put(means, "cbc:PaymentID", basis.number)  # BT-83
            payee = _in(means, "cac:PayeeFinancialAccount")
            _put(payee, "cbc:ID", account)  # BT-84
            _put(payee, "cbc:Name", seller.name)  # BT-85
            if branch:
                _put(_in(payee, "cac:FinancialInstitutionBranch"), "cbc:ID", branch)  # BT-86
        days = (basis.due - basis.issued).days
        words = {"sv": f"{days} dagar netto", "en": f"{days} days net"}[self._language]
        _put(_in(self._root, "cac:PaymentTerms"), "cbc:Note", words)  # BT-20

    def _tax(self) -> None:
        total = _in(self._root, "cac:TaxTotal")
        self._amount(total, "cbc:TaxAmount", self._basis.vat)  # BT-110
        for sum_ in self._basis.vats:
            subtotal = _in(total, "cac:TaxSubtotal")
            self._amount(subtotal, "cbc:TaxableAmount", sum_.net)  # BT-116
            self._amount(subtotal, "cbc:TaxAmount", sum_.vat)  # BT-117
            _tax_category(subtotal, "cac:TaxCategory", sum_.category, sum_.rate, with_reason=True)

    def _totals(self) -> None:
        totals = _in(self._root, "cac:LegalMonetaryTotal")
        self._amount(totals, "cbc:LineExtensionAmount", self._basis.net)  # BT-106
        self._amount(totals, "cbc:TaxExclusiveAmount", self._basis.net)  # BT-109
        self._amount(totals, "cbc:TaxInclusiveAmount", self._basis.total)  # BT-112
        self._amount(totals, "cbc:PayableAmount", self._basis.total)  # BT-115

    # --- lines ---

    def _line(self, line: BasisLine) -> None:
        basis, price_of = self._basis, price_for(line.unit_price)
        element = _in(self._root, f"cac:{self._kind}Line")
        _put(element, "cbc:ID", str(line.n))  # BT-126
        quantity, unit = self._sign * line.quantity.number, line.quantity.unit
        name = "CreditedQuantity" if basis.is_credit else "InvoicedQuantity"
        _put(element, f"cbc:{name}", str(quantity), unitCode=unit)  # BT-129
        self._amount(element, "cbc:LineExtensionAmount", line.net)  # BT-131
        if basis.start <= line.start and line.end <= basis.end:  # R110, R111; an adjustment is of an earlier month
            period = _in(element, "cac:InvoicePeriod")
            _put(period, "cbc:StartDate", line.start.isoformat())  # BT-134
            _put(period, "cbc:EndDate", line.end.isoformat())  # BT-135
        item = _in(element, "cac:Item")
        _put(item, "cbc:Name", line.text(self._language))  # BT-153
        if line.article:
            _put(_in(item, "cac:SellersItemIdentification"), "cbc:ID", line.article)  # BT-155
        _tax_category(
            item, "cac:ClassifiedTaxCategory", line.vat_category, line.vat_rate, with_reason=False
        )  # BT-151, -152
        price = _in(element, "cac:Price")
        _put(price, "cbc:PriceAmount", str(price_of.amount), currencyID=basis.currency)  # BT-146
        if price_of.quantity != 1:
            _put(price, "cbc:BaseQuantity", str(price_of.quantity), unitCode=unit)  # BT-149; R130: the line's unit

    def _amount(self, at: Tree.Element, name: str, amount: Money) -> None:
        _put(at, name, str(amount if self._sign == 1 else -amount), currencyID=self._basis.currency)


def swedish_endpoint(org_number: str) -> Endpoint:
    return Endpoint(SWEDISH, digits_of(org_number))


def _endpoint(party: Tree.Element, endpoint: Endpoint) -> None:
    _put(party, "cbc:EndpointID", endpoint.identifier, schemeID=endpoint.scheme)


def _address(party: Tree.Element, address: Address) -> None:
    at = _in(party, "cac:PostalAddress")
    _put(at, "cbc:StreetName", address.street)
    _put(at, "cbc:AdditionalStreetName", address.extra)
    _put(at, "cbc:CityName", address.city)
    _put(at, "cbc:PostalZone", address.postal_code)
    _put(_in(at, "cac:Country"), "cbc:IdentificationCode", address.country)


def _tax_scheme(party: Tree.Element, number: str, scheme: str) -> None:
    at = _in(party, "cac:PartyTaxScheme")
    _put(at, "cbc:CompanyID", number)
    _put(_in(at, "cac:TaxScheme"), "cbc:ID", scheme)


def _legal(party: Tree.Element, name: str, org_number: str, form: str) -> None:
    at = _in(party, "cac:PartyLegalEntity")
    _put(at, "cbc:RegistrationName", name)
    if org_number:
        _put(at, "cbc:CompanyID", digits_of(org_number), schemeID=SWEDISH)
    _put(at, "cbc:CompanyLegalForm", form)


def _contact(party: Tree.Element, name: str, phone: str, email: str) -> None:
    if name or phone or email:
        at = _in(party, "cac:Contact")
        _put(at, "cbc:Name", name)
        _put(at, "cbc:Telephone", phone)
        _put(at, "cbc:ElectronicMail", email)


def _tax_category(at: Tree.Element, name: str, vat: VatCategory, rate: Decimal, *, with_reason: bool) -> None:
    category = _in(at, name)
    exempt = vat is VatCategory.STANDARD and not rate  # a seller who is not liable
    _put(category, "cbc:ID", "E" if exempt else vat)
    _put(category, "cbc:Percent", number_text(rate))
    if with_reason and exempt:
        _put(category, "cbc:TaxExemptionReason", "Undantag från moms / Exempt from VAT")  # BT-120
    elif with_reason and vat is VatCategory.REVERSE_CHARGE:
        _put(category, "cbc:TaxExemptionReasonCode", "VATEX-EU-AE")  # BT-121
        _put(category, "cbc:TaxExemptionReason", "Omvänd betalningsskyldighet / Reverse charge")  # BT-120
    _put(_in(category, "cac:TaxScheme"), "cbc:ID", "VAT")


# --- elements ------------------------------------------------------------------------------------------------------


def _in(at: Tree.Element, *names: str) -> Tree.Element:
    for name in names:
        at = Tree.SubElement(at, name)
    return at


def _put(at: Tree.Element, name: str, text: str, **attributes: str) -> None:
    """A value; an empty one is left out (R008)."""
    if text := plain(text):
        Tree.SubElement(at, name, attributes).text = text
