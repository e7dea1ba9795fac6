from __future__ import annotations

from ombud.choices.groups import companies_in_group_of, group_name, load_groups, put_in_group
from ombud.db import Database
from tests.conftest import Cast


def test_companies_of_a_group_find_each_other_and_leave_it(database: Database, cast: Cast) -> None:
    eken, linden = cast.eken.id, cast.linden.id
    with database.write() as tx:
        assert put_in_group(tx, eken, "Skogen")
        assert not put_in_group(tx, eken, "Skogen"), "it is there already"
        assert companies_in_group_of(tx, eken) == [eken]
        assert companies_in_group_of(tx, linden) == [linden], "who is in no group is alone"
        assert put_in_group(tx, linden, "Skogen")
        assert companies_in_group_of(tx, eken) == companies_in_group_of(tx, linden) == sorted([eken, linden])
        assert load_groups(tx) == {eken: "Skogen", linden: "Skogen"}
        assert put_in_group(tx, linden, "Lunden")
        assert companies_in_group_of(tx, eken) == [eken]
        assert put_in_group(tx, linden, "")
        assert group_name(tx, linden) == ""
