"""The cast of a generated account: invented people, their addresses, chats and groups.

Belongs here: who exists, under which LID and phone forms, and what WAHA's listings would say about
them. Does not belong here: messages (`kinds`) and files (`generate`).
"""

import random
from dataclasses import dataclass, field
from typing import Any

from ventros_pipeline.replay.ids import to_shown

_FIRST_TEXT = (
    "Ana Bruno Carla Davi Elisa Fábio Gabi Hugo Íris João Kátia Léo Marina Nuno Olívia"
    " Paulo Rita Sílvia Téo Úrsula Vera Zé"
)
FIRST = _FIRST_TEXT.split()
_LAST_TEXT = "Alves Barros Costa Dias Esteves Farias Gomes Lima Moura Nunes Prado Ramos Souza"
LAST = _LAST_TEXT.split()
_GROUP_WORDS_TEXT = "pedidos fiscal entrega anexos loja bairro obra turma frete família"
GROUP_WORDS = _GROUP_WORDS_TEXT.split()
_AREAS = ("11", "21", "27", "31", "41", "51", "62", "71", "81", "85", "91")
_EMOJI = ("", "", "", " 🙏", " 👨‍👩‍👧", " ❤️")

PHONE = "phone"
BOTH = "phone and mapped lid"
LID_MAPPED = "mapped lid only"
LID_UNMAPPED = "unmapped lid only"
LID_ALT = "lid whose number only messages tell"
TWO_FORMS = "12 and 13 digits"
FOREIGN = "foreign phone"

_WAYS = (PHONE, BOTH, LID_MAPPED, LID_UNMAPPED, LID_ALT, TWO_FORMS, FOREIGN)
_WEIGHTS = (45, 15, 15, 9, 7, 4, 5)


@dataclass
class Person:
    """One invented person: how WhatsApp addresses them."""

    number: int
    name: str | None
    pushname: str
    way: str
    phone: str
    lid: str
    other_phone: str | None = None
    chats: list[str] = field(default_factory=list)

    @property
    def mapped(self) -> bool:
        """Whether the LID table knows this person."""
        return self.way in (BOTH, LID_MAPPED)

    @property
    def addresses(self) -> list[str]:
        """Every raw address that can be known to be this person."""
        if self.way == LID_UNMAPPED:
            return [self.lid]
        known = {self.phone, self.other_phone, self.lid}
        if self.way in (PHONE, TWO_FORMS, FOREIGN):
            known.discard(self.lid)
        return sorted(address for address in known if address)

    @property
    def wanted_chats(self) -> list[str]:
        """The chats this person appears in, in the chat list's form."""
        if self.way == BOTH:
            return [self.phone, self.lid]
        if self.way == TWO_FORMS and self.other_phone:
            return [self.phone, self.other_phone]
        return [self.lid] if self.way in (LID_MAPPED, LID_UNMAPPED, LID_ALT) else [self.phone]


@dataclass(frozen=True)
class Group:
    """A group: how its members are addressed and who they are."""

    id: str
    name: str
    lid_addressed: bool
    members: list[Person]


@dataclass
class Cast:
    """Everybody and everything that has a chat."""

    me: dict[str, str]
    people: list[Person]
    groups: list[Group]
    others: list[str]
    unlisted: list[str]


def invent(rng: random.Random, chats: int, unlisted: int) -> Cast:
    """Invent the cast of an account with this many listed chats."""
    special = min(4, chats // 8)
    others = ["status@broadcast", "1767442102@broadcast"][: special // 2]
    others += [f"1203634{rng.randrange(10**11):011d}@newsletter" for _ in range(special // 2)]
    group_count = chats // 6
    people: list[Person] = []
    left = chats - len(others) - group_count
    while left:
        person = _person(rng, len(people), alone=left == 1)
        person.chats = person.wanted_chats
        left -= len(person.chats)
        people.append(person)
    groups = [_group(rng, number, people) for number in range(group_count)]
    me = {"id": "5511990000000@c.us", "pushName": "Conta Gerada", "lid": "199900000000001@lid"}
    hidden = [_lid(rng) for _ in range(unlisted)]
    return Cast(me, people, groups, others, hidden)


def _person(rng: random.Random, number: int, alone: bool) -> Person:
    way = rng.choices(_WAYS, _WEIGHTS)[0] if number >= len(_WAYS) else _WAYS[number]
    if alone and way in (BOTH, TWO_FORMS):
        way = PHONE
    name = f"{rng.choice(FIRST)} {rng.choice(LAST)}" if rng.random() < 0.7 else None
    phone, other = _phones(rng, way)
    return Person(
        number=number,
        name=name,
        pushname=rng.choice(FIRST) + rng.choice(_EMOJI),
        way=way,
        phone=phone,
        lid=_lid(rng),
        other_phone=other,
    )


def _phones(rng: random.Random, way: str) -> tuple[str, str | None]:
    """Return the phone address and, for a person with two forms, the other one."""
    if way == FOREIGN:
        return f"35191{rng.randrange(10**7):07d}@s.whatsapp.net", None
    local = f"{rng.randrange(6, 10)}{rng.randrange(10**7):07d}"
    area = rng.choice(_AREAS)
    short, long = (f"55{area}{nine}{local}@s.whatsapp.net" for nine in ("", "9"))
    if way == TWO_FORMS:
        return long, short
    return (long if area < "28" or rng.random() < 0.3 else short), None


def _lid(rng: random.Random) -> str:
    return f"2{rng.randrange(10**14):014d}@lid"


def _group(rng: random.Random, number: int, people: list[Person]) -> Group:
    lid_addressed = number % 2 == 1
    known = people if lid_addressed else [p for p in people if p.way not in (LID_UNMAPPED, LID_ALT)]
    size = min(len(known), rng.randrange(3, 12))
    name = f"Grupo {rng.choice(GROUP_WORDS)} {number + 1}"
    group_id = f"1203633{rng.randrange(10**11):011d}@g.us"
    return Group(group_id, name, lid_addressed, rng.sample(known, size))


# -- listings ------------------------------------------------------------------------------------


def lid_table(cast: Cast) -> list[dict[str, str]]:
    """Return the LID table: the mapped people and the account itself is not in it."""
    return [{"lid": p.lid, "pn": to_shown(p.phone)} for p in cast.people if p.mapped]


def contact_list(cast: Cast) -> list[dict[str, Any]]:
    """Return the contacts: groups first, then every address that has a chat."""
    rows: list[dict[str, Any]] = [{"id": group.id, "name": group.name} for group in cast.groups]
    for person in cast.people:
        rows.extend(_contact(person, chat_id) for chat_id in person.chats)
    return rows + [{"id": chat_id} for chat_id in cast.others]


def _contact(person: Person, chat_id: str) -> dict[str, Any]:
    row: dict[str, Any] = {"id": to_shown(chat_id)}
    if person.name and (chat_id != person.lid or person.way == LID_MAPPED):
        row["name"] = person.name
    if chat_id == person.lid:
        return row | ({"phoneNumber": person.phone} if person.mapped else {})
    if person.mapped:
        row["lid"] = person.lid
    return row | {"pushname": person.pushname}


def group_table(cast: Cast) -> dict[str, dict[str, Any]]:
    """Return the groups as the object WAHA answers."""
    return {group.id: _group_row(group, place) for place, group in enumerate(cast.groups)}


def _group_row(group: Group, place: int) -> dict[str, Any]:
    members = [_member(group, person) for person in group.members]
    if members:
        members[0]["admin"] = "superadmin"
    return {
        "id": group.id,
        "addressingMode": "lid" if group.lid_addressed else "pn",
        "subject": group.name,
        "subjectTime": 1_700_000_000,
        "creation": 1_690_000_000 + place,
        "owner": members[0]["id"] if members else None,
        "desc": "desc",
        "size": len(members),
        "participants": members,
    }


def _member(group: Group, person: Person) -> dict[str, Any]:
    if not group.lid_addressed:
        lid = {"lid": person.lid} if person.mapped else {}
        return {"id": person.phone, **lid, "admin": None}
    number = {"phoneNumber": person.phone} if person.mapped else {}
    return {"id": person.lid, **number, "admin": None}
