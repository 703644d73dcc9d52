"""Who is who in two lists: what systems call a student, and which lines of two lists mean the same one.

A person is a mapping {kind: text}. Kinds: id, sid (student number), username, github, email, canvas_id, participant
(Moodle's number of somebody in one assignment), name.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Person = Mapping[str, str]

# kind: the names of columns that hold it, in small letters, letters and digits only
NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "identifier", "rosteridentifier", "userid"),
    "sid": (
        "sid", "sisuserid", "sisid", "studentid", "studentnumber", "studentno", "idnumber", "orgdefinedid",
        "matriculationnumber", "matrikelnummer", "externalid", "universityid",
    ),
    "username": ("username", "user", "login", "loginid", "sisloginid", "netid", "benutzername", "anmeldename"),
    "github": ("github", "githubusername", "githublogin", "githubuser", "githubname"),
    "email": ("email", "emailaddress", "mail", "mailaddress", "emailadresse"),
    "canvas_id": ("canvasid", "canvasuserid"),
    "participant": ("participant", "participantnumber"),
    "name": ("name", "fullname", "student", "studentname", "displayname", "vollstandigername"),
    "first_name": ("firstname", "givenname", "first", "vorname"),
    "last_name": ("lastname", "surname", "familyname", "last", "nachname"),
}  # fmt: skip
KIND_OF = {name: kind for kind, names in NAMES.items() for name in names}
WORDS = {
    "id": "id", "sid": "student number", "username": "user name", "github": "GitHub name", "email": "e-mail address",
    "canvas_id": "Canvas ID", "participant": "participant number", "name": "name",
}  # fmt: skip

# which kinds of one list may stand under another name in the other: a login can be an e-mail address
SAME = tuple((kind, kind) for kind in WORDS) + (
    ("id", "sid"), ("id", "username"), ("id", "email"), ("id", "github"), ("username", "email"), ("username", "github"),
)  # fmt: skip
FIRM = ("sid", "canvas_id", "participant", "email")  # two different ones are two people


@dataclass(frozen=True)
class Matching:
    """pairs: {place in the first list: place in the second}.

    unclear: {place in the first list: why nobody can say who it is}; unclear_other: such places in the second
    """

    pairs: Mapping[int, int]
    unclear: Mapping[int, str]
    unclear_other: frozenset[int]


def kinds(titles: Sequence[str]) -> dict[str, int]:
    """{kind: the first column that holds it}, by the names of columns."""
    found: dict[str, int] = {}
    for place, title in enumerate(titles):
        kind = KIND_OF.get(re.sub(r"[\W_]", "", without_accents(title).casefold()))
        if kind is not None:
            found.setdefault(kind, place)
    return found


def without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def person(texts: Mapping[str, str]) -> dict[str, str]:
    """A person from the cells of one line, {kind: text}: first and last name become one, what is empty goes."""
    parts = (texts.get("first_name", ""), texts.get("last_name", ""))
    name = texts.get("name", "") or " ".join(part for part in parts if part)
    found = {kind: text for kind, text in texts.items() if text and kind in WORDS}
    return found | ({"name": natural(name)} if name else {})


def called(person: Person) -> str:
    """A person as a list names one: the name, or the first key."""
    return person.get("name") or next(iter(person.values()))


def natural(name: str) -> str:
    """ "Müller, Anna" as "Anna Müller"; other names as they are."""
    last, comma, first = name.partition(",")
    return f"{first.strip()} {last.strip()}" if comma and first.strip() and "," not in first else name


def comparable(kind: str, text: str) -> str:
    """What of a text has to be equal: no case, one form of each letter, single blanks; "" is equal to nothing."""
    if kind == "participant":
        found = re.search(r"\d+$", text.strip())
        return found[0] if found else ""
    text = natural(text) if kind == "name" else text
    return " ".join(unicodedata.normalize("NFC", text).split()).casefold()


def match(first: Sequence[Person], second: Sequence[Person]) -> Matching:
    """Pairs those who have the same text under a kind that both lists know, where nobody else in either list has it.

    The kind that pairs the most comes first, then the next for those who are left, names last. Nothing is guessed:
    what more than one has, and what contradicts another key, pairs nobody.
    """
    ways = [(kind, other) for pair in SAME for kind, other in dict.fromkeys([pair, pair[::-1]])]
    indexes = {way: (by_text(first, way[0]), by_text(second, way[1])) for way in ways}
    alone = {way: [(a[text][0], b[text][0]) for text in a if only(a, text) and only(b, text)]
             for way, (a, b) in indexes.items()}  # fmt: skip
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    contradicted: dict[int, str] = {}
    for way in sorted(ways, key=lambda way: ("name" in way, -len(alone[way]))):
        for one, other in alone[way]:
            if one in pairs or other in taken:
                continue
            against = contradiction(one, other, first[one], second[other], indexes, way)
            if against:
                told = f"a student with the same {WORDS[way[0]]} has another {WORDS[against]}"
                contradicted.setdefault(one, told)
                continue
            pairs[one] = other
            taken.add(other)
    unclear: dict[int, str] = {}
    unclear_other: set[int] = set()
    for way, (a, b) in indexes.items():
        for text in a.keys() & b.keys():
            left = [one for one in a[text] if one not in pairs]
            right = [other for other in b[text] if other not in taken]
            if left and right:
                for one in left:
                    unclear.setdefault(one, contradicted.get(one, f"more than one has this {WORDS[way[0]]}"))
                unclear_other |= set(right)
    return Matching(pairs, unclear, frozenset(unclear_other))


def by_text(people: Sequence[Person], kind: str) -> dict[str, list[int]]:
    """{comparable text: the places of those who have it}"""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(people):
        if text := comparable(kind, one.get(kind, "")):
            found[text].append(place)
    return dict(found)


def only(places: Mapping[str, list[int]], text: str) -> bool:
    return len(places.get(text, ())) == 1


Way = tuple[str, str]  # kinds that are compared, of the first list and of the second
Indexes = Mapping[Way, tuple[Mapping[str, list[int]], Mapping[str, list[int]]]]


def contradiction(one: int, other: int, mine: Person, yours: Person, indexes: Indexes, way: Way) -> str:
    """The kind that says that these are two people, "" for none. one, other: their places; way: what pairs them.

    A key that differs may be a slip, or a second e-mail address; it says so where it names somebody else who is
    there, and where only the name speaks for the pair. A user name of one system can be another person's elsewhere:
    where it pairs two who share no word of their names, it says nothing.
    """
    for kind in FIRM:
        first, second = indexes[kind, kind]
        my_key, your_key = comparable(kind, mine.get(kind, "")), comparable(kind, yours.get(kind, ""))
        elsewhere = one not in first.get(your_key, [one]) or other not in second.get(my_key, [other])
        if elsewhere or ("name" in way and my_key and your_key and my_key != your_key):
            return kind
    my_words, your_words = words(mine.get("name", "")), words(yours.get("name", ""))
    firm = "email" in way or set(way) <= set(FIRM)
    return "name" if not firm and my_words and your_words and not my_words & your_words else ""


def words(name: str) -> set[str]:
    """The words of a name in Latin letters; those of other scripts cannot be compared with them."""
    return set(re.findall(r"[a-z]+", without_accents(name).casefold()))
