"""What the standards say about mail: values and pure functions. No I/O, no SQL, no customers."""
