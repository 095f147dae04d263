"""By what are names, addresses, texts, dates and secrets replaced?

Formats survive, and uniqueness, and the order of dates. No list of real names is used: what looks
like a person is made of syllables, so that nobody real is named by accident.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import cycle
from uuid import UUID

from ..rows import Value
from .seed import Seed

_STARTS = ("Ba", "Ce", "Di", "Fo", "Gu", "Ha", "Je", "Ki", "Lo", "Mu", "Na", "Pe", "Ri", "So", "Tu")
_MIDDLES = (
    "ba",
    "de",
    "fi",
    "go",
    "lu",
    "ma",
    "ne",
    "pi",
    "ro",
    "su",
    "ta",
    "ve",
    "zi",
    "xo",
    "qu",
)
_ENDS = ("ban", "del", "fir", "gos", "lum", "mar", "nex", "pil", "ros", "sun", "tam", "vez", "zid")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
# With more letters and digits than these, chance makes no two the same.
_FEW = 24
_LOREM = (
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut "
    "labore et dolore magna aliqua ut enim ad minim veniam quis nostrud exercitation ullamco "
    "laboris nisi ut aliquip ex ea commodo consequat duis aute irure dolor in reprehenderit in "
    "voluptate velit esse cillum dolore eu fugiat nulla pariatur excepteur sint occaecat "
    "cupidatat non proident sunt in culpa qui officia deserunt mollit anim id est laborum "
)
_WORDS = (0, *(place + 1 for place, letter in enumerate(_LOREM[:-1]) if letter == " "))
_LONG = 4_000
_PAGES = _LOREM * (_LONG // len(_LOREM) + 2)


def keep(value: Value, seed: Seed) -> Value:
    """As it is: somebody looked, and it is nobody's."""
    return value


def email(value: Value, seed: Seed) -> Value:
    """`k3vq2mdyt4wz6h7c@example.com`; an empty text stays one."""
    return seed.fitting(seed.token(value), "@example.com") if value else value


def username(value: Value, seed: Seed) -> Value:
    """`user-k3vq2mdyt4wz6h7c`."""
    return seed.fitting(f"user-{seed.token(value)}") if value else value


def name(value: Value, seed: Seed) -> Value:
    """A word of syllables for each word; the same word is always the same."""
    words = str(value).split()
    made = " ".join(_word(seed.digest(word.casefold(), 4)) for word in words)
    if not seed.is_unique or not words:
        return seed.fitting(made)
    return seed.fitting(made, f" {seed.token(value)}")


def _word(digest: bytes) -> str:
    first, second, third, fourth = digest
    start, middle = _STARTS[first % len(_STARTS)], _MIDDLES[second % len(_MIDDLES)]
    return start + middle + _MIDDLES[third % len(_MIDDLES)] + _ENDS[fourth % len(_ENDS)]


def phone(value: Value, seed: Seed) -> Value:
    """Other digits, and other letters, in the same places."""
    return shape(value, seed)


def shape(value: Value, seed: Seed) -> Value:
    """Other letters and digits in the same places: addresses, postal codes, account numbers."""
    text = str(value)
    if not seed.is_unique:
        return _reshaped(text, seed.digest(text, 32))
    folded = text.casefold()
    places = [place for place, character in enumerate(folded) if character.isalnum()]
    if len(places) > _FEW:
        return _reshaped(text, seed.digest(folded, 64))
    if len(folded) != len(text) or not all(text[place].isascii() for place in places):
        # Letters of other alphabets than that of the replacement: more of them than it has.
        return seed.fitting(_reshaped(text, seed.digest(text, 32)), f" {seed.token(text)}")
    return _permuted(text, folded, places, seed)


def _reshaped(value: str, digest: bytes) -> str:
    made = []
    for character, number in zip(value, cycle(digest), strict=False):
        if character.isdecimal():
            made.append(str(number % 10))
        elif character.isalnum():
            letter = _LETTERS[number % 26]
            made.append(letter.upper() if character.isupper() else letter)
        else:
            made.append(character)
    return "".join(made)


def _permuted(text: str, folded: str, places: Sequence[int], seed: Seed) -> str:
    """No two texts become the same one, even where upper and lower case are: the letters and
    digits are one number, and numbers are shuffled among the texts of the same shape."""
    number, below, alphabets = 0, 1, []
    shape = list(folded)
    for place in places:
        alphabet = _DIGITS if folded[place].isdecimal() else _LETTERS
        number = number * len(alphabet) + alphabet.index(folded[place])
        below *= len(alphabet)
        alphabets.append(alphabet)
        shape[place] = alphabet[0]
    number = seed.shuffled(number, below, "".join(shape)) if places else 0
    made = list(text)
    for place, alphabet in zip(reversed(places), reversed(alphabets), strict=True):
        number, rest = divmod(number, len(alphabet))
        made[place] = alphabet[rest].upper() if text[place].isupper() else alphabet[rest]
    return "".join(made)


def text(value: Value, seed: Seed) -> Value:
    """Words without a meaning, as long as the text was."""
    length = len(str(value))
    start = _WORDS[seed.number(value, len(_WORDS))]
    if length <= _LONG:
        made = _PAGES[start : start + length]
    else:
        made = (_LOREM[start:] + _LOREM * (length // len(_LOREM) + 1))[:length]
    return seed.fitting(made, f" {seed.token(value)}") if seed.is_unique and length else made


def date(value: Value, seed: Seed) -> Value:
    """Dates and moments, all moved by the same number of days: their order stays."""
    if not isinstance(value, dt.date):
        raise TypeError(f"a {type(value).__name__} is no date")
    try:
        return value + dt.timedelta(seconds=seed.shift_seconds)
    except OverflowError:
        # Before the first year there is none: the earliest that can be said.
        if isinstance(value, dt.datetime):
            return dt.datetime.min.replace(tzinfo=value.tzinfo)
        return dt.date.min


def token(value: Value, seed: Seed) -> Value:
    """Nothing: empty where the column may be, else an empty text. Where all must differ, another
    one that opens nothing."""
    if seed.is_nullable:
        return None
    return seed.fitting(seed.token(value)) if seed.is_unique else ""


def password(value: Value, seed: Seed) -> Value:
    """A password that nobody has, as Django writes one that cannot be used."""
    return seed.fitting(f"!{seed.token(value)}{seed.token(f'{value}.')}")


def uuid(value: Value, seed: Seed) -> Value:
    """Another one, as a UUID or as text, with hyphens or without like it was."""
    if isinstance(value, UUID):
        return UUID(bytes=seed.digest(value, 16), version=4)
    text = str(value).casefold().replace("-", "")
    # The same as where the same UUID is none of text.
    told = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    made = UUID(bytes=seed.digest(told, 16), version=4)
    return seed.fitting(str(made) if "-" in str(value) else made.hex)
