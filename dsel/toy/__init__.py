"""The embedded corpus: drawn talking heads with synthetic voices and every factor known.

speaker.py (who) -> text.py, voice.py, espeak.py, room.py (what is heard), mouth.py, face.py (what is seen) -> make.py, trials.py.
Nothing is imported here; `from dsel.toy.make import toy` makes a corpus.
"""
