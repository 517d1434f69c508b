"""Room of the memory: open and migrate, history, blobs, inbox."""
