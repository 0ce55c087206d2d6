"""Draw what is said: random words of a large list, of a speaker's own four, or of a small set.

Words are random instead of sentences. Every word can follow every other, so two parts of a track
have nothing in common but the speaker. (Source: ours.)
"""

from __future__ import annotations

import numpy as np

# Common short English words, sorted by their main vowel so that every vowel occurs.
_TABLE = """
beach bean cheese clean cream deep dream each eagle easy feed feel field free green heat keep key
leaf leave meat meet need peace people piece please queen reach sea seat see seed sheep sheet sleep
speak street sweet teach team three tree wheel big bill bridge bring chin cliff dish drink fill fish
gift give hill him inch kick king lip list live milk mint miss pick pig pink quick rich ring ship
sick silk sing sister sit six skin spring swim thin thing think this wing winter wish women bed bell
best bread chess desk dress edge egg end fence fresh friend get head help hen left leg letter lemon
men neck nest net pen pencil red rest seven shelf shell smell spend step ten tell text them twelve
wedding west yellow yes apple back bag bank bad bath black camp candle cap cat catch chance class
dance fan fast flag glass glad grass hand happy hat jacket lamp land last man map mask match nap
packet pan path plan plant rabbit sand stand tap thank that travel valley arm art bar calm car card
charm dark far farm father garden guard hard heart laugh march mark market palm park part sharp star
start box clock cloth coffee copper cost cross doctor dog dot drop foggy forest fox got hop hot job
knock lock long lot mop not off often orange pocket pot rock shop sock soft song stop strong top was
wash watch what all ball board born bought call caught chalk corn corner door draw fall floor force
four fork horse law lord more morning north order pour salt saw short small sort storm sword talk
tall taught thought walk wall warm water book bush butcher cook could cushion foot full good hook
look pull push put should stood sugar took wolf woman wood would wool blue boot choose cool food
fool fruit goose group juice lose moon move music new noon pool proof room rule school shoe shoot
smooth soon soup spoon suit tooth true tube two who you zoo brush bus butter button come cousin cup
cut does drum duck dust fun gloves hug hundred hunt jump just love luck lunch money monkey month
mother mud much must nothing number nut one other plum puppy run rust some son such sun supper
thunder touch truck trust uncle under up us young birth bird burn church curl dirt early earth fern
first fur girl heard her hurt learn nurse pearl person purple shirt thirsty third turn verb word
work world worm worth age baby bake brave break cake came case chain chase date day eight face game
gate gave great hay lake late make may name paint paper pay place plane plate play rain safe same
say shape snake space stay table tail take they train vase wake wave way weight boat bone bowl broke
clothes coal coast coat cold drove go goat gold grow hold home hope joke known load moment most nose
note oak ocean old only open over own phone pony road rope rose show slow smoke snow soap stone
those throw toast told vote whole bite bright buy child climb cry dive drive dry eye fight find fire
five fly guide hide high ice idea island kind knife life light like lion mile mind mine my nice
night nine pie pilot price quiet rice ride right shine side sign silent sky smile spider tie tiger
time tired try twice white why wide wife wild wine wire write boil boy choice coin enjoy join joy
loyal noise oil point poison royal soil toy voice about brown cloud clown count cow crowd crown
doubt down flower found ground hour house loud mouse mouth now our out owl pound power proud round
shout sound south towel tower town beard beer cheer clear dear deer ear fear hear here near rear
year air bear care chair dare fair hair pair pear rare scare share square stairs tear their there
wear where measure pleasure treasure usual vision leisure beige thick thumb thief thread throat
breathe clothing weather feather leather bother judge jam jaw large magic engine village wage
"""
WORDS = tuple(_TABLE.split())

# Four vocabularies that share as few sounds as possible: front vowels and hisses; round vowels and
# lip sounds; open vowels and stops; diphthongs.
DISTINCT = {
    "distinct0": ("cheese", "sheep", "teach", "seat"),
    "distinct1": ("moon", "boot", "rule", "wool"),
    "distinct2": ("dark", "back", "cut", "cap"),
    "distinct3": ("nine", "line", "voice", "owl"),
}
OWN_WORDS = 4  # number of words in a small vocabulary
RANDOM_VOCABULARIES = 8


def own_vocabulary(rng: np.random.Generator) -> tuple[str, ...]:
    """Draw a speaker's own four words."""
    return tuple(WORDS[i] for i in rng.choice(len(WORDS), OWN_WORDS, replace=False))


def random_vocabularies(rng: np.random.Generator) -> dict[str, tuple[str, ...]]:
    """Draw vocabularies of four words without a common word: {"random0": (...), ...}."""
    drawn = rng.choice(len(WORDS), (RANDOM_VOCABULARIES, OWN_WORDS), replace=False)
    return {f"random{k}": tuple(WORDS[i] for i in row) for k, row in enumerate(drawn)}


def words(
    rng: np.random.Generator, count: int, own: tuple[str, ...] = (), share: float = 0.0
) -> list[str]:
    """Draw words so that no word follows itself.

    Args:
        rng: the random stream.
        count: how many words.
        own: a small vocabulary.
        share: probability that a word is drawn from `own` and not from WORDS. 1 gives speech from
            a small vocabulary, 0 free speech.
    """
    drawn: list[str] = []
    while len(drawn) < count:
        pool = own if own and rng.random() < share else WORDS
        word = pool[rng.integers(len(pool))]
        if not drawn or word != drawn[-1] or len(pool) == 1:
            drawn.append(word)
    return drawn


def words_for(seconds: float, rate: float) -> int:
    """Return how many words are enough for a time in seconds at `rate` words per minute.

    The result is 1.4 times the average number, since words may be short.
    """
    return int(np.ceil(seconds * rate / 60 * 1.4)) + 2
