"""Ten thousand domains of known make, looked at as `ombud domains scan` does, over real sockets."""
