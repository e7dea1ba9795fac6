"""Price plans, invoice basis and exports; reads usage, never writes it."""
