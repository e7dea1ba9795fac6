"""`python -m ombud` is the command `ombud`."""

from ombud.cli.app import main

main()
