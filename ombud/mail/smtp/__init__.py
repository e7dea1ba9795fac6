"""Both sides of an SMTP conversation as pure dialogues: bytes and events in, bytes and events out; no sockets, no clocks."""
