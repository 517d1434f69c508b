"""Room of the words: ids, states, the plan graph, the fold."""
