"""Room of the ears: one hook event becomes an event row, the fold and an answer."""
