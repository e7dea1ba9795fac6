"""The pages say what the code says, and their links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from ombud import docs
from ombud.errors import every_error
from ombud.metrics import METRICS
from ombud.providers.smtp.route import SmtpRoute, Tls
from ombud.queue import State
from ombud.settings import Settings

WRITTEN = [
    docs.ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "examples/molntjanst-2024/README.md")
]
PAGES = [*WRITTEN, *sorted(docs.PAGES.glob("*.md"))]
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(docs.ROOT).as_posix() for path in paths]


@pytest.fixture(scope="module")
def made() -> dict[Path, str]:
    return docs.pages()


@pytest.mark.parametrize("name", names(sorted(docs.PAGES.glob("*.md"))))
def test_what_is_made_from_the_code_is_as_the_code_is(made: dict[Path, str], name: str) -> None:
    path = docs.ROOT / name
    assert path.read_text("utf-8") == made[path], "run `python -m ombud.docs write`"


def test_everything_that_can_be_made_stands_on_a_page() -> None:
    written = "".join(path.read_text("utf-8") for path in docs.PAGES.glob("*.md"))
    assert set(re.findall(r"<!-- made: ([a-z-]+) -->", written)) == set(docs.MAKERS)


def test_every_page_can_be_reached_from_the_readme() -> None:
    linked = set(_LINK.findall((docs.ROOT / "README.md").read_text("utf-8")))
    assert {f"docs/{path.name}" for path in docs.PAGES.glob("*.md")} <= {link.partition("#")[0] for link in linked}


@pytest.mark.parametrize("name", names(PAGES))
def test_every_link_leads_somewhere(name: str) -> None:
    page = docs.ROOT / name
    for link in _LINK.findall(page.read_text("utf-8")):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), link


def anchors(page: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_pages_name_all_that_there_is() -> None:
    settings, errors, flow, metrics = (
        (docs.PAGES / f"{name}.md").read_text("utf-8") for name in ("settings", "errors", "flow", "metrics")
    )
    tables = {table: type(field.default) for table, field in Settings.model_fields.items()}
    assert all(f"### [{table}]" in settings for table in tables)
    assert all(f"| `{name}` |" in settings for model in tables.values() for name in model.model_fields)
    assert all(f"| `{name}` |" in settings for name in SmtpRoute.__dataclass_fields__ if name != "password")
    assert all(f'`tls = "{tls}"`' in settings for tls in Tls)
    assert all(f"| `{error.code}` |" in errors for error in every_error())
    assert all(f"| `{state}` |" in flow for state in State)
    assert all(metric.name in metrics for metric in METRICS)


def test_every_package_is_placed_in_the_architecture() -> None:
    page = (docs.PAGES / "architecture.md").read_text("utf-8")
    package = Path(docs.__file__).parent
    rooms = [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    rooms += [path.name for path in package.glob("*.py") if not path.name.startswith("__")]
    assert [name for name in rooms if f"`{name}`" not in page] == []


def test_the_floors_that_are_drawn_are_those_that_the_contract_keeps() -> None:
    drawing = (docs.PAGES / "architecture.md").read_text("utf-8").split("```")[1]
    floor, drawn = "", {}
    for line in drawing.strip().splitlines():
        floor = line.split()[0] if line[0] != " " else floor
        drawn.update({name: floor for name in re.findall(r"\w+", line) if name not in drawn})
    contract = tomllib.loads((docs.ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"][0]
    layers = [layer.split(" | ") for layer in contract["layers"] if layer not in ("docs", "__main__")]
    kept = [floor for layer in layers for floor in sorted({drawn.get(name, f"not drawn: {name}") for name in layer})]
    assert list(dict.fromkeys(kept)) == ["start", "doors", "work", "parts", "ground"]
    assert kept == sorted(kept, key=["start", "doors", "work", "parts", "ground"].index)


def test_an_unknown_path_or_name_in_back_quotes_is_noticed() -> None:
    """Paths that the hand-written text names exist."""
    for page in PAGES:
        text = re.sub(r"<!-- made.*?<!-- end -->", "", page.read_text("utf-8"), flags=re.DOTALL)
        for path in re.findall(
            r"`((?:ombud|tests|docs|examples|mail|queue|submission|delivery)/[\w/.-]+\.(?:py|md|toml))`", text
        ):
            assert (docs.ROOT / path).exists() or (docs.ROOT / "ombud" / path).exists(), f"{page.name}: {path}"


# --- the making --------------------------------------------------------------------------------------------------------


def test_the_comment_beside_each_name_is_its_meaning() -> None:
    said = docs.members(Tls)
    assert said["IMPLICIT"].startswith("TLS from the first byte")
    assert said["REQUIRED_UNVERIFIED"].startswith("STARTTLS with whatever certificate")  # written over several lines


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# RFC 5321 4.5.3.1.4 with what is added: RFC 1870 3 (26), 6152 2 (17)", [(5321, "4.5.3.1.4"), (1870, "3"), (6152, "2")]),
        ("(RFC 6376, 8301, 8463)", [(6376, ""), (8301, ""), (8463, "")]),
        ("# RFC 8996 deprecates what is older", [(8996, "")]),
        ("RFC 5322 A.1.3, RFC 2045 3-6", [(5322, "A.1.3"), (2045, "3-6")]),
        ("# RFC 4954 6, RFC 3207 4: log in", [(4954, "6"), (3207, "4")]),
        ("the 78 of it; a 4-digit 5321 alone", []),
    ],
)  # fmt: skip
def test_citations_are_found_with_their_sections(text: str, found: list[tuple[int, str]]) -> None:
    assert list(docs.citations(text)) == found


def test_a_bar_in_a_cell_makes_no_column() -> None:
    assert docs.table(("a",), [("x | y\nz",)]).splitlines()[-1] == "| x \\| y z |"


def test_a_stale_page_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = tmp_path / "states.md"
    page.write_text("# States\n\n<!-- made: states -->\nold\n<!-- end -->\n", "utf-8")
    monkeypatch.setattr(docs, "PAGES", tmp_path)
    assert docs.stale() == [page]
    page.write_text(docs.pages()[page], "utf-8")
    assert docs.stale() == []
    assert "`delivered`" in page.read_text("utf-8")
