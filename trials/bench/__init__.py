"""`make bench`: Ombud and its peers under the same load, end to end: generator -> system -> sink, on loopback.

    mails     what is sent: a hundred sender domains, in two sizes
    load      the generator (load.c; load.py where there is no C compiler)
    sink      the server at the end that takes everything and counts (smtp-sink; else sink.c; else sink.py)
    systems   Ombud, Postfix with OpenDKIM, Haraka: set up, started, stopped
    trial     one load through one system, and the check that it signs at all
    batches   the load of the HTTP door
    machine   CPU and memory of a tree of processes, and how many RSA signatures the cores can make

`python -m trials.bench --help`. Nothing here is imported by Ombud, and nothing passes or fails by a figure.
"""
