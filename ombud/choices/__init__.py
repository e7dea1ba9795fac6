"""What was decided: campaigns with their dates and alternatives, choices, extensions; facts, append-only."""
