"""What happens next with a customer, in the operator's words; one for each place that a customer can be in a campaign.

The codes are stable: letters are chosen by them. Texts speak to the vendor's staff, who see them in lists.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NextStep:
    code: str
    sv: str
    en: str


def _steps(*steps: NextStep) -> dict[str, NextStep]:
    return {step.code: step for step in steps}


NEXT_STEPS = _steps(
    NextStep("write", "Skriv till kunden.", "Write to the customer."),
    NextStep("find_contact", "Brevet studsade: ring, och hitta någon annan.", "The letter bounced: call, and find someone else."),
    NextStep("open", "Kunden läser brevet och öppnar sin länk.", "The customer reads the letter and opens its link."),
    NextStep("choose", "Kunden gör sitt val.", "The customer makes its choice."),
    NextStep("give_server", "Kunden lämnar uppgifter om sin e-postserver.", "The customer tells about its mail server."),
    NextStep("give_domain", "Kunden anger sin avsändardomän.", "The customer names its sender domain."),
    NextStep("make_route", "Vi lägger upp vägen som valet leder till.", "We set up the route that the choice leads to."),
    NextStep("consent", "Kundens Microsoft-administratör godkänner.", "The customer's Microsoft administrator consents."),
    NextStep("mend_server", "Kundens server signerar inte som den ska: kunden rättar den.", "The customer's server does not sign as it should: the customer mends it."),
    NextStep("records_customer", "Kunden lägger in DNS-posterna, eller skickar dem till sin IT-leverantör.", "The customer adds the DNS records, or sends them to its IT supplier."),
    NextStep("records_supplier", "IT-leverantören lägger in DNS-posterna.", "The IT supplier adds the DNS records."),
    NextStep("records_vendor", "Vi rättar vår del av DNS-posterna.", "We mend our part of the DNS records."),
    NextStep("records_wait", "DNS sprider posterna; inget att göra.", "DNS spreads the records; nothing to do."),
    NextStep("prove", "Vi skickar ett provmejl och läser av det.", "We send a test message and read it back."),
    NextStep("mend_proof", "Provmejlet godkändes inte: vi tar reda på varför.", "The test message did not pass: we find out why."),
    NextStep("switch", "Klar att slå över: gör det.", "Ready to go live: do it."),
    NextStep("switch_rest", "Slå över de produkter som återstår.", "Go live with the products that remain."),
    NextStep("none", "Inget.", "Nothing."),
)  # fmt: skip

#: How stages and balls are called in lists: Swedish, English.
STAGES = {
    "not_reached": ("inte nådd", "not reached"),
    "reached": ("nådd, inte öppnat", "reached, not opened"),
    "opened": ("öppnat, inget val", "opened, no choice"),
    "chosen": ("valt, ej påbörjat", "chosen, not begun"),
    "setting_up": ("under införande", "setting up"),
    "verified": ("verifierad", "verified"),
    "proven": ("bevisad", "proven"),
    "live": ("i drift", "live"),
    "extended": ("förlängning", "extended"),
    "stopped": ("stoppad", "stopped"),
    "exempt": ("undantag", "exempt"),
}
BALLS = {
    "customer": ("kunden", "customer"),
    "it_supplier": ("IT-leverantören", "IT supplier"),
    "microsoft_admin": ("Microsoft-admin", "Microsoft admin"),
    "vendor": ("vi", "us"),
    "dns": ("DNS", "DNS"),
    "nobody": ("ingen", "nobody"),
}
