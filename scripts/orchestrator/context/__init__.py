"""Room of the scales: tokens, sections, bundles, dedupe, budget, briefing."""
