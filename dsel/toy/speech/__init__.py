"""Synthetic speech: text, voices, espeak-ng, rooms; and real recordings in their place."""
