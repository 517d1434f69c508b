"""The demo: a real client, a scripted model, a sample; run, watched, measured, checked."""
