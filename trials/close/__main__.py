"""`python -m trials.close`: kill the close of a month many times and count what came of it. Exit code 0: exactly one basis each.

`--bench` measures the preview of a month with ten million metered recipients instead.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from trials.close import bench, kills


def main(arguments: Sequence[str] | None = None) -> int:
    wanted = _parser().parse_args(arguments)
    rows = []
    for name in ("sqlite", "postgresql"):
        if wanted.database in (name, "both"):
            directory = (wanted.dir / name).resolve()
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            with _address(name, directory) as address:
                if wanted.bench:
                    rows.append(bench.run(name, address, wanted.customers, wanted.emails))
                else:
                    rows.append(kills.run(name, address, directory, wanted.kills, wanted.seed))
            print(json.dumps(rows[-1]), flush=True)
    return 0 if all(row["ok"] for row in rows) else 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trials.close", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--kills", type=int, default=1000, help="how many on each database")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--dir", type=Path, default=Path("var/close"), help="where the databases go; emptied first")
    parser.add_argument("--bench", action="store_true", help="measure a large month's preview instead")
    parser.add_argument("--customers", type=int, default=5_000, help="of the bench")
    parser.add_argument("--emails", type=int, default=10_000_000, help="of the bench")
    return parser


@contextmanager
def _address(name: str, directory: Path) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{directory / 'ombud.db'}"
        return
    from tests.conftest import Postgres  # the tests' own: one way to run a server is enough

    server = Postgres()
    try:
        yield server.fresh()
    finally:
        server.stop()
        shutil.rmtree(server.directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
