"""The door for people at a terminal and for scripts: `ombud NOUN VERB`, one module for each noun.

It translates and decides nothing: every command calls the same functions as the other doors. Nothing heavy is imported
before a command that needs it is named, so that `ombud --help` answers at once.
"""
