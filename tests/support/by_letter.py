"""Judges of nonsense, for the replies of models that say nothing; and replies that are read by them."""

import threading

from driftwatch.errors import JudgeError
from driftwatch.judges.judge import Judgement
from driftwatch.replies.confirmation import Confirmation
from driftwatch.replies.decoding import Decoding
from driftwatch.stance import Probs


class ByLetter:
    """A frozen judge of nonsense: the first letter of a reply decides, so that replies have stances at all."""

    id = "by-letter"

    def __init__(self):
        self.failing = False

    def read(self, asked):
        if self.failing:
            raise JudgeError("the judge is out")
        return [self._read(one.reply) for one in asked]

    def _read(self, reply):
        if not reply:
            return Judgement(unread="empty")
        return Judgement(probs=(Probs(1, 0, 0), Probs(0, 1, 0), Probs(0, 0, 1))[ord(reply[0]) % 3])


def confirmation(judge=None, **options):
    settings = {"decoding": Decoding(max_new_tokens=2), "normal_draws": 4, "watched_draws": 8}
    return Confirmation(judge=judge or ByLetter(), **{**settings, **options})


class FarAway(ByLetter):
    """A judge behind a slow line: it reads when it is let."""

    id = "far-away"
    is_remote = True

    def __init__(self):
        super().__init__()
        self.let = threading.Event()

    def read(self, asked):
        assert self.let.wait(60)
        return super().read(asked)
