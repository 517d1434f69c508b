"""Package of orchestrator: the record of what agents were told, did, cost and left."""
