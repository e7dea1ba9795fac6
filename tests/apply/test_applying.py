"""`apply`: what a file may say, and that the installation is then as it says, the second time as the first."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ombud.accounts import load_directory, put_customer
from ombud.apply import Done, Step, Wanted, apply, read
from ombud.apply.customers import customers_of_csv
from ombud.db import Database
from ombud.domains import active_keys, key_records, load_key_ring, load_ownership, prove_domain
from ombud.errors import DomainTaken, Misconfigured
from ombud.mail.dkim import Algorithm, SigningKey, new_key
from ombud.routing import Action, decide, load_facts, route_secret
from ombud.seal import Seal

NOON = datetime(2024, 5, 7, 10, 0, tzinfo=UTC)
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "molntjanst-2024" / "ombud.toml"
SEAL = Seal(bytes(32))
HEADER = "slug,name,org_number,domain,contact_name,contact_email,language,own_smtp,alternative"
EKEN = "eken,Bostads AB Eken,559990-1013,eken.example,Åsa,asa@eken.example,sv,yes,own"
LINDEN = "linden,Stiftelsen Linden,559990-1385,linden.example,Bo,bo@linden.example,sv,no,none"
ROUTE = """
[[routes]]
slug = "{slug}"
provider = "smtp"
{more}
settings = {{ host = "127.0.0.1", port = 25, tls = "none" }}
"""

ReadText = Callable[..., Wanted]


@pytest.fixture
def sqlite(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    """For what is the same on both databases."""
    path = tmp_path / "ombud.db"
    shutil.copy(sqlite_template, path)
    database = Database.open(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture
def text(tmp_path: Path) -> ReadText:
    """Reads TOML (and the customer list that it names) as if it stood in files."""

    def read_text(
        toml: str, customers: str | bytes | None = None, environment: Mapping[str, str] | None = None
    ) -> Wanted:
        (tmp_path / "ombud.toml").write_text(toml, "utf-8")
        if customers is not None:
            content = customers if isinstance(customers, bytes) else customers.encode()
            (tmp_path / "customers.csv").write_bytes(content)
        return read(tmp_path / "ombud.toml", environment or {})

    return read_text


def run(database: Database, wanted: Wanted) -> list[Step]:
    return apply(database, SEAL, wanted, NOON)


def news(steps: list[Step]) -> list[tuple[str, str, str]]:
    return [(step.done, step.kind, step.name) for step in steps if step.done is not Done.SAME]


# --- the example ---------------------------------------------------------------------------------------------------


def test_the_example_applies_and_the_second_time_changes_nothing(database: Database) -> None:
    wanted = read(EXAMPLE, {})
    first = run(database, wanted)
    assert len(news(first)) == len(first) > 40
    with database.read() as tx:
        keys = key_records(tx)
    second = run(database, wanted)
    assert news(second) == []
    assert len(second) == len(first)
    with database.read() as tx:
        assert key_records(tx) == keys


def test_the_example_sends_each_customers_mail_the_way_that_its_readme_says(sqlite: Database) -> None:
    run(sqlite, read(EXAMPLE, {}))
    with sqlite.read() as tx:
        directory, facts, ownership = load_directory(tx), load_facts(tx), load_ownership(tx)
        keys = {record.name.partition("._domainkey.")[2] for record in key_records(tx)}

    def way(customer: str, product: str) -> tuple[str, str, str]:
        decision = decide(facts, directory.customer(customer).id, directory.product(product).id, NOON)
        assert decision.route is not None
        return decision.action, decision.route.slug, decision.reason

    assert way("eken", "hyra") == (Action.SEND, "eken-egen", "choice_live")
    assert way("lindgarden", "hyra") == (Action.SEND, "mailgun-eu", "choice_live")
    assert way("angsgarden", "ekonomi") == (Action.SEND, "mailgun-eu", "choice_live")
    assert way("bjallerbo", "hyra") == (Action.SEND, "underleverantor", "legacy")
    assert way("norrvik", "online") == (Action.SEND, "underleverantor", "legacy")
    assert way("bjallerbo", "marknad") == (Action.SEND, "egen-server", "legacy")
    assert ownership.domains["xn--ngsgrden-zzao.example"].customer_id == directory.customer("angsgarden").id
    assert way("molntjanst", "ombud") == (Action.SEND, "egen-server", "product_route"), "the vendor's own letters"
    assert len(directory.customers) == 12 + 1, "the vendor is a customer to its own Ombud"
    assert len(directory.products) == 7 + 1
    signed = {"lindgarden.example", "xn--ngsgrden-zzao.example", "kvarnholmen.example", "havsbris.example"}
    assert keys == signed, "a key for each domain whose mail Ombud signs, and for no other"


def test_the_examples_ports_and_passwords_come_from_the_environment(sqlite: Database) -> None:
    run(sqlite, read(EXAMPLE, {"MAILGUN_PORT": "2587", "MAILGUN_PASSWORD": "12345"}))
    with sqlite.read() as tx:
        route = load_facts(tx).route("mailgun-eu")
        assert route
        assert route.settings["port"] == 2587
        assert route_secret(tx, SEAL, "mailgun-eu") == "12345"


# --- what a file may say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[vendr]\nname = 'x'", "vendr is not known here; did you mean vendor?"),
        ("[vendor]\nnane = 'x'", r"\[vendor\]: nane is not known here; did you mean name\?"),
        (
            "[[products]]\nslug = 'hyra'\nname = 'Hyra'\nrote = 'x'",
            r"\[\[products\]\] hyra: rote .* did you mean route\?",
        ),
        ("[[products]]\nslug = 'hyra'", "hyra: name is missing"),
        ("[[products]]\nslug = 'Hyra'\nname = 'Hyra'", "the slug Hyra may hold a-z"),
        ("products = 'hyra'", "products must be a list of tables"),
        (
            "[[products]]\nslug = 'a'\nname = 'A'\n[[products]]\nslug = 'a'\nname = 'B'",
            "the product a is there already",
        ),
        ("[vendor]\nallowed_regions = 'EU'", "allowed_regions must be a list"),
        ("[vendor]\nallowed_regions = [1]", "allowed_regions must be a list of texts"),
        ("[vendor]\nname = 'a\\nb'\n".replace("'", '"'), "cannot be printed"),
        ("[dkim]\nalgorithms = ['rsa-sha1']", "algorithms must be some of rsa-sha256"),
        ("[dkim]\nselector = 'a b'", "the selector a b may hold"),
        ("[[domains]]\nname = 'no_domain'\ncustomer = 'x'\nreason = 'y'", "the domain no_domain cannot be used"),
        (
            "[[customers]]\nslug = 'a'\nname = 'A'\norg_number = '559990-1014'",
            "a: the organisation number .* check digit",
        ),
        ("[[customers]]\nslug = 'a'\nname = 'A'\nlanguage = 'de'", "language must be sv or en, not de"),
        ("[[customers]]\nslug = 'a'\nname = 'A'\ncontact_email = 'a'", "contact_email"),
        (ROUTE.format(slug="test", more=""), "test is the route of test credentials"),
        (ROUTE.format(slug="ut", more="sign = 'yes'"), r"\[\[routes\]\] ut: sign must be true or false"),
        (ROUTE.format(slug="ut", more="limits = { conections = 1 }"), "conections .* did you mean connections"),
        (ROUTE.format(slug="ut", more="limits = { connections = -1 }"), "connections must be a whole number"),
        (ROUTE.format(slug="ut", more="password = 'x'"), "ut: The field user is wrong: a password needs one"),
        (ROUTE.format(slug="ut", more="").replace("host", "hots"), "ut: The field hots is wrong"),
        (
            ROUTE.format(slug="ut", more="").replace('"smtp"', '"snail"'),
            "ut: The field provider is wrong: there is no snail",
        ),
        ("[vendor", "ombud.toml: "),
        ("customers = 'nowhere.csv'", "nowhere.csv: No such file"),
    ],
)
def test_a_mistake_in_the_file_is_refused_by_its_name(text: ReadText, toml: str, words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        text(toml)


def test_the_tables_of_settings_are_left_to_the_settings(text: ReadText) -> None:
    assert text("[service]\nname = 'x'\n[smtp]\nanything = 1\n[vendor]\nname = 'V'").vendor == "V"


def test_a_variable_without_value_and_default_is_named(text: ReadText) -> None:
    with pytest.raises(Misconfigured, match="vendor: name: the environment variable NAME is not set"):
        text("[vendor]\nname = '${NAME}'")
    assert text("[vendor]\nname = '${NAME} AB'", environment={"NAME": "Moln"}).vendor == "Moln AB"
    assert text("[vendor]\nname = '${NAME:}'").vendor == ""


def test_a_setting_that_is_a_variable_is_a_number_if_its_digits_are_one(text: ReadText) -> None:
    toml = """
    [[routes]]
    slug = "ut"
    provider = "smtp"
    password = "${PASSWORD:0012}"
    limits = { connections = "${CONNECTIONS:7}" }
    settings = { host = "${HOST:127.0.0.1}", port = "${PORT:25}", user = "${USER_NAME:4711}" }
    """
    (route,) = text(toml).routes
    assert route.settings == {"host": "127.0.0.1", "port": 25, "user": "4711"}
    assert route.password == "0012"
    assert route.limits.connections == 7
    with pytest.raises(Misconfigured, match="port"):
        text(toml, environment={"PORT": "025"})
    with pytest.raises(Misconfigured, match="connections must be a whole number"):
        text(toml, environment={"CONNECTIONS": "many"})


# --- the customer list ---------------------------------------------------------------------------------------------

LIST = 'customers = "customers.csv"\n[alternatives]\nown = "{slug}-egen"\n'


def test_the_list_is_read_as_spreadsheets_write_it(text: ReadText) -> None:
    plain = text(LIST, f"{HEADER}\n{EKEN}\n{LINDEN}\n").customers
    excel = text(LIST, f"\ufeff{HEADER}\r\n{EKEN}\r\n{LINDEN}\r\n".replace(",", ";")).customers
    assert plain == excel
    assert [(one.slug, one.domain, one.routes) for one in plain] == [
        ("eken", "eken.example", {"": "eken-egen"}),
        ("linden", "linden.example", {}),
    ]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            f"{HEADER.replace('domain', 'domian')}\n{EKEN}",
            "line 1: the column 'domian' is not known; did you mean domain",
        ),
        (f"{HEADER.replace(',domain', '')}\n", "line 1: the columns must be slug, name"),
        (f"{HEADER},slug\n", "line 1: the columns must be .* each once"),
        ("", "line 1: the columns must be"),
        (f"{HEADER}\n{EKEN}\n{LINDEN},more", "line 3: it has 10 columns, and the header has 9"),
        (f"{HEADER}\n{EKEN.replace('1013', '1031')}", "line 2: the organisation number 559990-1031 is mistyped"),
        (f"{HEADER}\n{EKEN.replace('559990-1013', '16559990-1013')}", "line 2: the organisation number .* ten digits"),
        (
            f"{HEADER}\n\n{LINDEN.replace('linden.example', 'lin den.example', 1)}",
            "line 3: the domain lin den.example cannot",
        ),
        (
            f"{HEADER}\n{EKEN.replace('asa@eken.example', 'asa')}",
            "line 2: the address asa of contact_email cannot be used: there is no @",
        ),
        (
            f"{HEADER}\n{EKEN.replace(',own', ',mailgun')}",
            "line 2: .alternatives. does not say which route 'mailgun' is",
        ),
        (f"{HEADER}\n{EKEN.replace('yes', 'ja')}", "line 2: own_smtp must be yes or no"),
        (f"{HEADER}\n{EKEN.replace('eken,', 'Eken,', 1)}", "line 2: the slug 'Eken' may hold"),
        (f"{HEADER}\n{EKEN.replace('Bostads AB Eken', '')}", "line 2: name is missing"),
        (f"{HEADER}\n{EKEN}\n{EKEN}", "line 3: the customer eken is there already .in customers.csv, line 2"),
        (
            f"{HEADER}\n{EKEN}\n{LINDEN.replace('559990-1385', '5599901013')}",
            "line 3: the organisation number 559990-1013 is",
        ),
        (
            f"{HEADER}\n{EKEN}\n{LINDEN.replace('linden.example', 'EKEN.example', 1)}",
            "line 3: the domain eken.example is there",
        ),
        (f'{HEADER}\n"eken"x,', "line 2: "),
        (
            f"{HEADER}\n" + EKEN.replace("Åsa", '"Å\nsa"'),
            "line 3: contact_name holds a character that cannot",
        ),
        (f"{HEADER}\n{EKEN}".encode("utf-16"), "customers.csv is not UTF-8"),
        (f"{HEADER}\n{EKEN.replace('Åsa', chr(27))}", "line 2: contact_name holds a character that cannot be printed"),
    ],
)
def test_a_mistake_in_the_list_is_refused_by_its_line(text: ReadText, rows: str | bytes, words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        text(LIST, rows)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.text(alphabet=st.sampled_from(f'{HEADER}\n\r";, ÅÄ@.0123456789-\x00\u2028'), max_size=120))
def test_no_list_is_so_odd_that_it_is_more_than_a_mistake(tmp_path: Path, rows: str) -> None:
    (tmp_path / "odd.csv").write_bytes(f"{HEADER}\n{rows}".encode())
    with suppress(Misconfigured):
        customers_of_csv(tmp_path / "odd.csv", {})


# --- what is done --------------------------------------------------------------------------------------------------


def test_what_changed_is_told_and_nothing_else_is_done(text: ReadText, sqlite: Database) -> None:
    toml = (
        LIST + ROUTE.format(slug="eken-egen", more='customer = "eken"') + "[[products]]\nslug = 'hyra'\nname = 'Hyra'"
    )
    run(sqlite, text(toml, f"{HEADER}\n{EKEN}\n{LINDEN}"))
    changed = text(
        toml.replace("25", "2525").replace("'Hyra'", "'Hyra 2'"), f"{HEADER}\n{EKEN.replace('Åsa', 'Eva')}\n{LINDEN}"
    )
    steps = [step for step in run(sqlite, changed) if step.done is not Done.SAME]
    assert [(step.done, step.kind, step.name) for step in steps] == [
        (Done.CHANGED, "customer", "eken"),
        (Done.CHANGED, "person", "eken / asa@eken.example"),
        (Done.CHANGED, "route", "eken-egen"),
        (Done.CHANGED, "product", "hyra"),
    ]
    assert steps[0].detail == "contact_name: Åsa -> Eva"
    assert "25" in steps[2].detail
    assert "2525" in steps[2].detail


def test_a_customer_that_takes_its_choice_back_takes_the_products_route_again(text: ReadText, sqlite: Database) -> None:
    toml = LIST + ROUTE.format(slug="eken-egen", more='customer = "eken"')
    run(sqlite, text(toml, f"{HEADER}\n{EKEN}"))
    steps = run(sqlite, text(toml, f"{HEADER}\n{EKEN.replace(',own', ',none')}"))
    assert news(steps) == [(Done.REMOVED, "assignment", "eken / every product")]
    assert news(run(sqlite, text(toml, f"{HEADER}\n{EKEN.replace(',own', ',none')}"))) == []


def test_an_assignment_that_the_file_does_not_speak_of_is_let_be(text: ReadText, sqlite: Database) -> None:
    customer = "[[customers]]\nslug = 'eken'\nname = 'Eken'\n"
    product, route = "[[products]]\nslug = 'hyra'\nname = 'Hyra'\n", ROUTE.format(slug="ut", more="")
    first = run(sqlite, text(customer + "route = 'ut'\nroutes = { hyra = 'ut' }\n" + product + route))
    assert [name for _, kind, name in news(first) if kind == "assignment"] == ["eken / hyra", "eken / every product"]
    assert news(run(sqlite, text(customer))) == []
    steps = run(sqlite, text(customer + "route = 'none'"))
    assert sorted(name for _, _, name in news(steps)) == ["eken / every product", "eken / hyra"]


def test_another_customers_own_route_cannot_be_taken(text: ReadText, sqlite: Database) -> None:
    toml = LIST.replace("{slug}-egen", "lindens") + ROUTE.format(slug="lindens", more='customer = "linden"')
    with pytest.raises(Misconfigured, match="line 2: the route lindens is another customer's own"):
        run(sqlite, text(toml, f"{HEADER}\n{EKEN}\n{LINDEN}"))
    product = "\n[[products]]\nslug = 'hyra'\nname = 'Hyra'\nroute = 'lindens'"
    with pytest.raises(Misconfigured, match="the product hyra: the route lindens is another customer's own"):
        run(sqlite, text(toml + product, f"{HEADER}\n{LINDEN}"))


def test_a_route_does_not_change_its_owner(text: ReadText, sqlite: Database) -> None:
    customers = f"{HEADER}\n{LINDEN}"
    run(sqlite, text(LIST + ROUTE.format(slug="ut", more=""), customers))
    with pytest.raises(Misconfigured, match="the route ut has another owner already"):
        run(sqlite, text(LIST + ROUTE.format(slug="ut", more="customer = 'linden'"), customers))


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[[products]]\nslug = 'hyra'\nname = 'Hyra'\nroute = 'gone'", "the product hyra: there is no route gone"),
        (
            "[[domains]]\nname = 'a.example'\ncustomer = 'gone'\nreason = 'x'",
            "the domain a.example: there is no customer gone",
        ),
        (ROUTE.format(slug="ut", more="customer = 'gone'"), "the route ut: there is no customer gone"),
        (
            ROUTE.format(slug="ut", more="") + "[[customers]]\nslug='a'\nname='A'\nroutes={gone='ut'}",
            "a: there is no product gone",
        ),
    ],
)
def test_a_name_that_stands_for_nothing_leaves_nothing_half_done(
    text: ReadText, sqlite: Database, toml: str, words: str
) -> None:
    with pytest.raises(Misconfigured, match=words):
        run(sqlite, text("[[customers]]\nslug = 'first'\nname = 'First'\n" + toml))
    with sqlite.read() as tx:
        assert load_directory(tx).customers == {}
        assert len(load_facts(tx).routes) == 1, "only the test route"


def test_a_password_is_sealed_changed_and_taken_away_and_never_told(text: ReadText, sqlite: Database) -> None:
    def with_password(password: str) -> list[Step]:
        user = ', user = "u"' if password else ""
        toml = f"""
        [[routes]]
        slug = "ut"
        provider = "smtp"
        password = "{password}"
        settings = {{ host = "127.0.0.1"{user} }}
        """
        wanted = text(toml)
        assert not password or password not in repr(wanted)
        return run(sqlite, wanted)

    def kept() -> str:
        with sqlite.read() as tx:
            return route_secret(tx, SEAL, "ut")

    with_password("hemligt-1")
    assert kept() == "hemligt-1"
    (step,) = with_password("hemligt-2")
    assert (step.done, step.detail, kept()) == (Done.CHANGED, "password", "hemligt-2")
    with_password("")
    assert kept() == ""
    assert news(with_password("")) == []


def test_a_domain_of_another_customer_is_refused(text: ReadText, sqlite: Database) -> None:
    with sqlite.write() as tx:
        put_customer(tx, "other", "Other", NOON)
        prove_domain(tx, "eken.example", load_directory(tx).customer("other"), "operator", "seen", NOON)
    with pytest.raises(DomainTaken):
        run(sqlite, text(LIST, f"{HEADER}\n{EKEN.replace(',own', ',none')}"))


def test_every_signed_domain_gets_a_key_of_each_algorithm_under_a_name_of_its_own(
    text: ReadText, sqlite: Database
) -> None:
    toml = """
    [[customers]]
    slug = "eken"
    name = "Eken"
    domain = "eken.example"
    route = "ut"
    [[domains]]
    name = "Hyra.Eken.se."
    customer = "eken"
    reason = "the domain of their tenants' portal"
    [[products]]
    slug = "hyra"
    name = "Hyra"
    [dkim]
    selector = "nyckel1"
    algorithms = ["rsa-sha256", "ed25519-sha256"]
    """ + ROUTE.format(slug="ut", more="sign = true")  # fmt: skip
    run(sqlite, text(toml))
    with sqlite.read() as tx:
        for domain in ("eken.example", "hyra.eken.se"):
            assert active_keys(tx, domain) == [("nyckel1", "rsa-sha256"), ("nyckel1-ed25519", "ed25519-sha256")]
        assert len(load_key_ring(tx, SEAL).of("hyra.eken.se")) == 2
    assert news(run(sqlite, text(toml.replace("nyckel1", "nyckel2")))) == [], "keys that are there are let be"


def test_it_can_be_asked_without_being_done(sqlite: Database) -> None:
    assert news(apply(sqlite, SEAL, read(EXAMPLE, {}), NOON, dry_run=True))
    with sqlite.read() as tx:
        assert load_directory(tx).customers == {}


def test_keys_are_made_while_others_can_write(sqlite: Database) -> None:
    def make(domain: str, selector: str, algorithm: Algorithm) -> SigningKey:
        with sqlite.write() as tx:  # there is one writer at a time: this would wait for ever for one further out
            put_customer(tx, "meanwhile", domain, NOON)
        return new_key(domain, selector, "ed25519-sha256")

    steps = apply(sqlite, SEAL, read(EXAMPLE, {}), NOON, make_key=make)
    assert sum(kind == "key" for _, kind, _ in news(steps)) == 4
