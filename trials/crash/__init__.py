"""The outside judge of what is promised: nothing acknowledged is lost, whenever the service is killed.

    sink       a mail server in a process of its own, which writes down every copy before it answers
    injector   customers in a process of their own, who write down every yes that they get
    house      an installation: set up, started, killed, asked
    trial      the three together, and the killer
    judge      reads what sink and injector wrote, and says what was lost, doubled or changed
    seeded     the service with a fault built in, which the judge must find
    killpoints the service killed at its first, second, third ... write to disk or network

`python -m trials.crash --help`. Nothing here is imported by Ombud. The judge trusts only the two ledgers; Ombud's own words
are asked for at the end, to see whether it labelled what may have become a second copy.
"""
