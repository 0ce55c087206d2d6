"""The embedded corpus: drawn talking heads with synthetic voices and every factor known.

    speaker.py                           who: latents that move voice and face together, and own ones
    text.py voice.py espeak.py room.py   what is heard
    mouth.py face.py                     what is seen
    make.py trials.py                    the corpus

Nothing is imported here; `from dsel.toy.make import toy` makes a corpus.
"""
