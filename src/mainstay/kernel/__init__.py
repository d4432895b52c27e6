"""The small ground every word stands on; it knows no word and does no I/O."""
