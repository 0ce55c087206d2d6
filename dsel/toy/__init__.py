"""Make the toy corpus: drawn talking heads with synthetic voices; every factor is known.

    plan.py speaker.py seeds.py   which speakers there are and what each says
    speech/                       what is heard: words, voices, microphone and room
    mouth.py face/                what is seen: mouth shapes, faces, scenes
    make.py trials.py             write the corpus and its trial lists
    live.py gallery.py            render faces again while training; show a corpus

Nothing is imported here. `from dsel.toy.make import toy` makes a corpus. (Source: ours.)
"""
