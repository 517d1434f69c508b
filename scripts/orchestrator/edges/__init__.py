"""Room of the doors: hooks, schemas, commands."""
