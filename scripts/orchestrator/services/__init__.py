"""Room of the verbs: one function, one use case, one transaction."""
