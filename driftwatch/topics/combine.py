"""Several packs asked as one, for example "core+refusal"."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from driftwatch.documents.node import Fault, Place
from driftwatch.topics.parse import Draft
from driftwatch.topics.topic import TopicPack


def combined(drafts: Sequence[Draft]) -> Draft:
    """One draft of all, topics in order; an id that two packs share is a fault, since metrics and records use ids."""
    faults = [fault for draft in drafts for fault in draft.faults]
    places: dict[str, Place] = {}
    for draft in drafts:
        for key, place in draft.places.items():
            if key in places:
                kind, _, name = key.rpartition(":") if key.startswith("topic:") else ("item", "", key)
                message = f'expected a new id, found {kind} "{name}" again (first at {places[key]}). Rename one.'
                faults.append(Fault(place, message))
            places.setdefault(key, place)
    packs = [draft.pack for draft in drafts if draft.pack is not None]
    notes = tuple(note for draft in drafts for note in draft.notes)
    return Draft(_joined(packs) if packs else None, tuple(faults), places, notes)


def _joined(packs: Sequence[TopicPack]) -> TopicPack:
    first, *others = packs
    added = ".".join(f"{pack.id}.{pack.version}" for pack in others)
    return replace(
        first,
        id="+".join(pack.id for pack in packs),
        # The added packs become build metadata, so that the result is a semantic version again.
        version=f"{first.version}+{added.replace('+', '.')}" if added else first.version,
        language=" ".join(_unique(pack.language for pack in packs)),
        licence=" AND ".join(_unique(pack.licence for pack in packs)),
        source=" ".join(_unique(pack.source for pack in packs)),
        topics=tuple(topic for pack in packs for topic in pack),
    )


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
