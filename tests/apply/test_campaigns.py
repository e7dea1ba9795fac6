"""Campaigns as a file asks for them: what it may say, and what a change of it comes to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ombud.accounts import load_directory
from ombud.accounts.people import people_of
from ombud.apply import Done, Step, apply, read
from ombud.campaigns.cases import comments_of, find_case
from ombud.choices import (
    AfterStop,
    Choices,
    ExtensionKind,
    Kind,
    Need,
    Page,
    Shown,
    approve_extension,
    ask_extension,
    choices_of,
    load_choices,
    page_text,
    record_choice,
    versions_of,
    withdraw_choice,
)
from ombud.choices.groups import load_groups
from ombud.choices.subprocessors import subprocessors
from ombud.db import Database
from ombud.db.snapshot import revision
from ombud.errors import EditNeedsYes, Misconfigured
from ombud.routing import decide, load_facts, load_switches, roll_back
from ombud.seal import Seal

NOON = datetime(2024, 5, 7, 10, 0, tzinfo=UTC)
SEAL = Seal(bytes(32))
TOML = """
customers = "customers.csv"
chosen_live = true
[[routes]]
slug = "gammal"
provider = "smtp"
settings = { host = "127.0.0.1", port = 25, tls = "none" }
[[routes]]
slug = "mailgun"
provider = "smtp"
settings = { host = "127.0.0.1", port = 25, tls = "none" }
[[routes]]
slug = "eken-egen"
customer = "eken"
provider = "smtp"
settings = { host = "127.0.0.1", port = 25, tls = "none" }
[[products]]
slug = "hyra"
name = "Hyra"
[[products]]
slug = "marknad"
name = "Marknad"
[[campaigns]]
slug = "byte-2024"
name = { sv = "Byte", en = "Change" }
start_date = 2024-01-08
risk_date = 2024-02-01
stop_date = 2024-05-31
last_extension_date = 2024-08-31
allowed_regions = ["EU", "EEA"]
notice = { sv = "notice.sv.md", en = "notice.en.md" }
[campaigns.products]
hyra = "gammal"
marknad = "gammal"
[campaigns.reserve]
route = "gammal"
address = "{slug}@leverantor.example"
[[campaigns.alternatives]]
slug = "own"
kind = "own"
recommended = true
route = "{slug}-egen"
needs = ["proven"]
name = { sv = "Egen", en = "Own" }
text = { sv = "Er server.", en = "Your server." }
[[campaigns.alternatives]]
slug = "subcontractor"
kind = "subcontractor"
route = "mailgun"
needs = ["records", "proven"]
name = { sv = "Mailgun", en = "Mailgun" }
text = { sv = "Vår underleverantör.", en = "Our subcontractor." }
[[subprocessors]]
slug = "mailgun"
name = "Mailgun"
replaces = "Vipre"
task = { sv = "Skickar e-post.", en = "Sends e-mail." }
notice_date = 2024-01-08
object_until = 2024-02-07
from_date = 2024-03-01
campaign = "byte-2024"
"""
LIST = """slug,name,org_number,domain,contact_name,contact_email,language,alternative,group
eken,Bostads AB Eken,559990-1013,eken.example,Åsa,asa@eken.example,sv,own,Skogen
linden,Stiftelsen Linden,559990-1385,linden.example,Bo,bo@linden.example,sv,subcontractor,Skogen
granen,Granen AB,559990-4710,granen.example,Ed,ed@granen.example,sv,none,
"""


class Vendor:
    """Someone who writes files and applies them."""

    def __init__(self, directory: Path, database: Database) -> None:
        self.directory, self.database = directory, database
        self.toml, self.list = TOML, LIST
        self.write("notice.sv.md", "# Byte\n\nHej {{company}}.\n")
        self.write("notice.en.md", "# Change\n\nHello {{company}}.\n")

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text, "utf-8")

    def change(self, old: str, new: str) -> None:
        assert old in self.toml, old
        self.toml = self.toml.replace(old, new)

    def apply(self, now: datetime = NOON, **how: Any) -> list[Step]:
        self.write("ombud.toml", self.toml)
        self.write("customers.csv", self.list)
        return apply(self.database, SEAL, read(self.directory / "ombud.toml", {}), now, **how)

    def step(self, kind: str, **how: Any) -> Step:
        """The only step of that kind."""
        (found,) = [one for one in self.apply(**how) if one.kind == kind]
        return found

    def choices(self) -> Choices:
        with self.database.read() as tx:
            return load_choices(tx)

    def way(self, customer: str, now: datetime = NOON) -> tuple[str | None, str]:
        with self.database.read() as tx:
            directory, facts = load_directory(tx), load_facts(tx)
        decision = decide(facts, directory.customer(customer).id, directory.product("hyra").id, now)
        return decision.route.slug if decision.route else None, decision.reason


@pytest.fixture
def vendor(tmp_path: Path, sqlite_template: Path) -> Iterator[Vendor]:
    shutil.copy(sqlite_template, tmp_path / "ombud.db")
    database = Database.open(f"sqlite:///{tmp_path / 'ombud.db'}")
    yield Vendor(tmp_path, database)
    database.close()


@pytest.fixture
def applied(vendor: Vendor) -> Vendor:
    vendor.apply()
    return vendor


# --- what comes of it ----------------------------------------------------------------------------------------------


def test_a_campaign_is_as_the_file_says(applied: Vendor) -> None:
    found = applied.choices().campaign("byte-2024")
    with applied.database.read() as tx:
        directory, routes = load_directory(tx), load_facts(tx)
        assert page_text(tx, found, Page.NOTICE, "sv").text == "# Byte\n\nHej {{company}}.\n"
        assert [(one.slug, one.replaces, one.campaign) for one in subprocessors(tx)] == [
            ("mailgun", "Vipre", "byte-2024")
        ]
    old = routes.route("gammal")
    assert old
    assert found.products == {directory.product(slug).id: old.id for slug in ("hyra", "marknad")}
    assert found.reserve
    assert (found.reserve.route_id, found.reserve.address) == (old.id, "{slug}@leverantor.example")
    assert (found.stop_date, found.zone, found.after_stop) == (date(2024, 5, 31), "Europe/Stockholm", AfterStop.REFUSE)
    assert [(one.slug, one.kind, one.needs) for one in found.offered] == [
        ("own", Kind.OWN, (Need.PROVEN,)), ("subcontractor", Kind.SUBCONTRACTOR, (Need.RECORDS, Need.PROVEN)),
    ]  # fmt: skip


def test_a_second_time_nothing_is_new(applied: Vendor) -> None:
    assert [step for step in applied.apply(NOON + timedelta(days=1)) if step.done is not Done.SAME] == []


def test_the_lists_choices_are_an_operators_and_live_at_once_where_the_file_says_so(applied: Vendor) -> None:
    assert applied.way("eken") == ("eken-egen", "choice_live")
    assert applied.way("linden") == ("mailgun", "choice_live")
    assert applied.way("granen") == ("gammal", "legacy")
    assert applied.way("granen", datetime(2024, 5, 31, 22, tzinfo=UTC))[1] == "no_active_choice"
    with applied.database.read() as tx:
        directory, campaign = load_directory(tx), load_choices(tx).campaign("byte-2024")
        (made,) = choices_of(tx, campaign.id, directory.customer("eken").id)
        assert load_groups(tx) == {directory.customer(one).id: "Skogen" for one in ("eken", "linden")}
        case = find_case(tx, "byte-2024/eken")
        said = "\n".join(one.text for one in comments_of(tx, case.id))
    assert (made.by, made.by_operator, made.reason) == ("customer list", True, "customers.csv, line 2")
    assert "ingen avsändardomän" not in said, "the list names its domain, and that is there when it goes live"
    assert "Trots att inget provmejl har bevisat" in said


def test_a_choice_that_is_not_live_at_once_waits_for_what_it_needs(vendor: Vendor) -> None:
    vendor.change("chosen_live = true\n", "")
    vendor.change('slug = "mailgun"\nprovider = "smtp"', 'slug = "mailgun"\nprovider = "smtp"\nsign = true')
    keys = [step.name for step in vendor.apply() if step.kind == "key"]
    assert vendor.choices().active_in(1).keys() == {1, 2}
    assert vendor.way("linden") == ("gammal", "legacy")
    assert keys == ["om1._domainkey.linden.example"], "its record can be published before it is live"


def test_a_customer_who_has_chosen_otherwise_since_is_left_alone(applied: Vendor) -> None:
    with applied.database.write() as tx:
        customer, choices = load_directory(tx).customer("eken"), load_choices(tx)
        campaign = choices.campaign("byte-2024")
        before = choices.active(campaign.id, customer.id)
        assert before
        record_choice(
            tx, campaign, customer, "subcontractor", Shown("x", "", "sv"), NOON, expected=before.id,
            person=people_of(tx, customer.id)[0],
        )  # fmt: skip
    steps = {step.name: step for step in applied.apply() if step.kind == "choice"}
    assert steps["eken / byte-2024"].done is Done.SAME
    assert steps["eken / byte-2024"].detail.startswith("subcontractor, chosen by Åsa")
    active = applied.choices().active(1, 1)
    assert active
    assert active.alternative == "subcontractor"


def test_a_changed_list_changes_only_what_came_from_the_list(applied: Vendor) -> None:
    applied.list = applied.list.replace("sv,none,", "sv,subcontractor,").replace("sv,own,", "sv,none,")
    steps = {(step.kind, step.name): step.done for step in applied.apply() if step.done is not Done.SAME}
    assert steps == {("choice", "granen / byte-2024"): Done.ADDED, ("live", "granen / byte-2024"): Done.ADDED}
    assert applied.way("eken") == ("eken-egen", "choice_live"), "a choice is not taken back by leaving it out"


def test_what_an_operator_has_rolled_back_is_not_switched_again(applied: Vendor) -> None:
    with applied.database.write() as tx:
        for switch in load_switches(tx):
            if switch.customer_id == load_directory(tx).customer("linden").id:
                roll_back(tx, switch.id, NOON, by="anna", reason="fel")
    later = NOON + timedelta(minutes=1)
    applied.apply(later)
    assert applied.way("linden", later)[0] == "gammal"


def test_a_later_campaign_stands_beside_the_first(applied: Vendor) -> None:
    block = TOML[TOML.index("[[campaigns]]") : TOML.index("[[subprocessors]]")]
    later = (
        block.replace("byte-2024", "byte-2026").replace("2024-", "2026-").replace('hyra = "gammal"', 'hyra = "mailgun"')
    )
    applied.toml += later
    with pytest.raises(Misconfigured, match="several campaigns: say with chosen_in"):
        applied.apply()
    applied.toml = 'chosen_in = "byte-2024"\n' + applied.toml
    applied.apply()
    product = min(applied.choices().campaign("byte-2024").products)
    assert applied.choices().campaign_of(product, NOON) == applied.choices().campaign("byte-2024")
    assert applied.choices().campaign_of(product, datetime(2026, 1, 9, tzinfo=UTC)) == applied.choices().campaign(
        "byte-2026"
    )


def test_a_later_change_of_subcontractor_concerns_only_those_who_go_by_the_first(applied: Vendor) -> None:
    block = TOML[TOML.index("[[campaigns]]") : TOML.index("[[subprocessors]]")]
    later = block.replace("byte-2024", "byte-2026").replace("2024-", "2026-").replace('= "gammal"', '= "mailgun"')
    applied.toml = 'chosen_in = "byte-2024"\n' + applied.toml + later
    applied.apply()
    spring, summer = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    assert applied.way("eken", spring) == applied.way("eken", summer) == ("eken-egen", "choice_live")
    assert applied.way("linden", spring)[0] == "mailgun"
    assert applied.way("linden", summer)[1] == "no_active_choice"
    assert applied.way("granen", spring)[1] == "no_active_choice", "stopped by the first, and not let go by the second"


# --- a change ------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_dates_old_and_new_and_texts_as_a_diff_and_changes_nothing(applied: Vendor) -> None:
    applied.change("risk_date = 2024-02-01", "risk_date = 2024-02-15")
    applied.change('text = { sv = "Er server."', 'text = { sv = "Er egen server."')
    applied.write("notice.sv.md", "# Byte\n\nHej på er, {{company}}.\n")
    step = applied.step("campaign", dry_run=True)
    assert step.done is Done.CHANGED
    assert step.detail == (
        "version 1 -> 2: risk_date: 2024-02-01 -> 2024-02-15; alternative own: text; notice.sv.md: version: 1 -> 2"
    )
    assert step.diff.splitlines() == [
        "--- own.text.sv (version 1)", "+++ own.text.sv (version 2)", "@@ -1 +1 @@", "-Er server.", "+Er egen server.",
        "--- notice.sv.md (version 1)", "+++ notice.sv.md (version 2)", "@@ -1,3 +1,3 @@", " # Byte", " ",
        "-Hej {{company}}.", "+Hej på er, {{company}}.",
    ]  # fmt: skip
    assert step.warning == ""
    assert applied.choices().campaign("byte-2024").version == 1
    applied.apply()
    with applied.database.read() as tx:
        assert [one.campaign.risk_date for one in versions_of(tx, 1)] == [date(2024, 2, 1), date(2024, 2, 15)]


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ("stop_date = 2024-05-31", "stop_date = 2024-06-30", "the stop date moves from 2024-05-31 to 2024-06-30"),
        ("stop_date = 2024-05-31", "stop_date = 2024-05-06", "which is over: mail of those who have not chosen stops at once"),
        ('slug = "subcontractor"\nkind', 'slug = "agent"\nkind', "the alternative subcontractor is offered no more, and 1 customers"),
        ('route = "mailgun"', 'route = "gammal"', "the alternative subcontractor leads to another route"),
        ('marknad = "gammal"\n', "", "the product marknad leaves the campaign"),
        ("last_extension_date = 2024-08-31", "last_extension_date = 2024-06-10", "1 extensions in force last longer than 2024-06-10"),
    ],
)  # fmt: skip
def test_what_strikes_customers_who_do_not_know_of_it_needs_a_yes(
    applied: Vendor, old: str, new: str, warning: str
) -> None:
    with applied.database.write() as tx:
        campaign, granen = load_choices(tx).campaign("byte-2024"), load_directory(tx).customer("granen")
        asked = ask_extension(
            tx,
            campaign,
            granen,
            ExtensionKind.EXTENSION,
            date(2024, 6, 30),
            NOON,
            reason_code="other",
            reason="x",
            by="anna",
        )
        approve_extension(tx, campaign, asked, "bo", NOON)
    applied.change(old, new)
    if "agent" in new:
        applied.list = applied.list.replace("subcontractor", "none")
    with pytest.raises(EditNeedsYes, match=warning):
        applied.apply()
    assert applied.choices().campaign("byte-2024").version == 1
    assert warning in applied.step("campaign", dry_run=True).warning
    assert applied.step("campaign", yes=True).done is Done.CHANGED
    assert applied.choices().campaign("byte-2024").version == 2


def test_an_alternative_that_nobody_has_chosen_goes_without_a_word(applied: Vendor) -> None:
    with applied.database.write() as tx:
        campaign, linden = load_choices(tx).campaign("byte-2024"), load_directory(tx).customer("linden")
        active = load_choices(tx).active(campaign.id, linden.id)
        assert active
        withdraw_choice(tx, campaign, linden, NOON, expected=active.id, operator="anna", reason="fel")
    start = applied.toml.index('[[campaigns.alternatives]]\nslug = "subcontractor"')
    applied.toml = applied.toml[:start] + applied.toml[applied.toml.index("[[subprocessors]]") :]
    applied.list = applied.list.replace("subcontractor", "none")
    step = applied.step("campaign")
    assert (step.detail, step.warning) == ("version 1 -> 2: alternative subcontractor: offered no more", "")


def test_days_may_fall_together(vendor: Vendor) -> None:
    for name in ("start_date = 2024-01-08", "risk_date = 2024-02-01", "last_extension_date = 2024-08-31"):
        vendor.change(name, f"{name[: name.index('=')]}= 2024-05-31")
    assert vendor.step("campaign").done is Done.ADDED


# --- what cannot be ------------------------------------------------------------------------------------------------

BAD = [
    ("stop_date = 2024-05-31", "stop_dat = 2024-05-31", r"\[\[campaigns\]\] byte-2024: stop_date is missing"),
    ("[campaigns.products]", "colour = 'red'\n[campaigns.products]", "byte-2024: colour is not known here"),
    ("risk_date = 2024-02-01", "risk_date = 2024-06-01", r"stop_date \(2024-05-31\) must not be before risk_date \(2024-06-01\)"),
    ("start_date = 2024-01-08", "start_date = 2024-02-08", r"risk_date \(2024-02-01\) must not be before start_date"),
    ("last_extension_date = 2024-08-31", "last_extension_date = 2024-05-30", "last_extension_date .* must not be before stop_date"),
    ("allowed_regions", "end_date = 2024-05-01\nallowed_regions", r"end_date \(2024-05-01\) must not be before stop_date"),
    ("stop_date = 2024-05-31", "stop_date = '2024-05-31'", "stop_date must be a day, written as 2024-05-31 without quotes"),
    ("stop_date = 2024-05-31", "stop_date = 2024-05-31T12:00:00", "stop_date must be a day without a time"),
    ("allowed_regions", "zone = 'Europe/Stokholm'\nallowed_regions", "the time zone Europe/Stokholm is not known"),
    ("allowed_regions", "zone = '../etc/passwd'\nallowed_regions", "the time zone .* is not known"),
    ("allowed_regions", "after_stop = 'drop'\nallowed_regions", "after_stop must be refuse or hold, not drop"),
    ("allowed_regions", "after_stop = 'hold'\nallowed_regions", "hold_days .* must be there"),
    ("allowed_regions", "hold_days = 3\nallowed_regions", "hold_days .* belongs to after_stop"),
    ('name = { sv = "Byte", en = "Change" }', 'name = { sv = "Byte" }', r"\[name\]: the text in English \(en\) is missing"),
    ('text = { sv = "Er server.", en', 'text = { sv = " ", en', r"own: \[text\]: the text in Swedish \(sv\) is missing"),
    ('text = { sv = "Er server.", en', 'text = { de = "Ihr", sv = "Er server.", en', "de is not known here"),
    ('text = { sv = "Er server."', 'text = { sv = "{{Pris}}"', "there is no value called Pris"),
    ('sv = "notice.sv.md", en', 'en', r"\[notice\]: the file in Swedish \(sv\) is missing"),
    ('sv = "notice.sv.md"', 'sv = "borta.md"', "borta.md: No such file"),
    ('sv = "notice.sv.md"', 'sv = "tom.md"', "tom.md is empty"),
    ('sv = "notice.sv.md"', 'sv = "okand.md"', "okand.md: there is no value called cots"),
    ('sv = "notice.sv.md"', 'sv = "latin.md"', "latin.md is not UTF-8"),
    ('kind = "own"', 'kind = "mine"', "kind must be own or subcontractor, not mine"),
    ('route = "{slug}-egen"', 'route = "egen"', "route egen is one for all, but an own way out is the customer's alone"),
    ('route = "{slug}-egen"', 'route = "{slug} egen"', "cannot become a route's slug"),
    ('route = "{slug}-egen"', 'route = ""', "route .* cannot become a route's slug"),
    ('route = "mailgun"', 'route = "malgun"', "the alternative subcontractor: there is no route malgun; did you mean mailgun"),
    ('route = "mailgun"', 'route = "eken-egen"', "the route eken-egen is a customer's own"),
    ('needs = ["proven"]', 'needs = ["prooven"]', "needs: prooven is not known here; did you mean proven"),
    ('slug = "subcontractor"', 'slug = "own"', "own: the alternative is there already"),
    ('slug = "own"\nkind', 'slug = "none"\nkind', "none stands for no choice"),
    ('hyra = "gammal"', 'hira = "gammal"', r"\[products\]: there is no product hira; did you mean hyra"),
    ('hyra = "gammal"', 'hyra = "gamal"', r"\[products\]: hyra: there is no route gamal; did you mean gammal"),
    ('hyra = "gammal"\nmarknad = "gammal"\n', "", r"\[campaigns.products\] must say which products"),
    ("allowed_regions", "price_plan = 'dyr'\nallowed_regions", "there is no price plan dyr"),
    ('["EU", "EEA"]', '["EU", "Europa"]', "allowed_regions: Europa is no region"),
    ('["EU", "EEA"]', '["US"]', "the route gammal lies in EU, and allowed_regions is US"),
    ('address = "{slug}@leverantor.example"', 'address = "x"', r"\[reserve\]: address cannot be used"),
    ('[[subprocessors]]\nslug = "mailgun"', '[[subprocessors]]\nslug = "mail gun"', "the slug mail gun may hold"),
    ("object_until = 2024-02-07", "object_until = 2024-01-07", "object_until .* must not be before notice_date"),
    ('campaign = "byte-2024"', 'campaign = "byte-2023"', "no campaign byte-2023"),
    ('slug = "byte-2024"\nname', 'slug = "byte 2024"\nname', "the slug byte 2024 may hold"),
    ('chosen_live', 'chosen_in = "byte"\n[alternatives]\nown = "x"\n[ignored]\nchosen_live', r"chosen_in and \[alternatives\] both say"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), BAD, ids=[words[:40] for _, _, words in BAD])
def test_a_mistake_is_told_with_its_place_and_nothing_is_changed(
    vendor: Vendor, old: str, new: str, words: str
) -> None:
    vendor.write("tom.md", " \n")
    vendor.write("okand.md", "{{cots}}")
    (vendor.directory / "latin.md").write_bytes("å".encode("latin-1"))
    with vendor.database.read() as tx:
        before = revision(tx)
    vendor.change(old, new)
    with pytest.raises(Exception, match=words) as told:
        vendor.apply()
    assert hasattr(told.value, "sv"), "one of our own errors"
    with vendor.database.read() as tx:
        assert revision(tx) == before
        assert load_choices(tx).campaigns == ()


def test_a_list_that_names_what_is_not_offered_is_told_by_its_line(vendor: Vendor) -> None:
    vendor.list = vendor.list.replace("sv,own,", "sv,egen,")
    with pytest.raises(Misconfigured, match="line 2: the campaign byte-2024 does not offer egen"):
        vendor.apply()


def test_a_choice_may_stand_in_the_file_itself_where_there_is_a_campaign(vendor: Vendor) -> None:
    customer = '[[customers]]\nslug = "linden"\nname = "Linden"\nalternative = "{0}"\n'
    vendor.change('customers = "customers.csv"\n', "")
    vendor.change('[[routes]]\nslug = "eken-egen"\ncustomer = "eken"', '[[routes]]\nslug = "eken-egen"')
    vendor.toml += customer.format("subcontractor")
    vendor.apply()
    assert vendor.way("linden") == ("mailgun", "choice_live")
    vendor.toml = customer.format("own")
    with pytest.raises(Misconfigured, match="linden: alternative is a choice in a campaign, and the file has none"):
        vendor.apply()


def test_an_own_route_that_is_not_set_up_yet_leaves_the_choice_made_and_not_live(vendor: Vendor) -> None:
    vendor.list = vendor.list.replace("sv,none,", "sv,own,")
    step = next(step for step in vendor.apply() if step.kind == "live" and step.name.startswith("granen"))
    assert (step.done, step.detail) == (Done.SAME, "not yet: there is no route granen-egen")
    assert vendor.way("granen") == ("gammal", "legacy")
