"""The questions that a model is asked: topic packs as data."""

from driftwatch.topics.loader import load_pack
from driftwatch.topics.topic import Item, Topic, TopicPack

__all__ = ["Item", "Topic", "TopicPack", "load_pack"]
