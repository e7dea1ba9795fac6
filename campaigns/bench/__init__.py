"""`make bench`: Ombud and its peers under the same load, end to end: generator -> system -> sink, on loopback."""
