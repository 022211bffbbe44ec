"""Small records for tests, made of the real classes; and the smallest pack and settings as files hold them."""

from driftwatch.drift.compare import Drift
from driftwatch.drift.floor import Floor
from driftwatch.drift.interval import Interval
from driftwatch.drift.shares import TopicStance
from driftwatch.record.record import Cost, Record, RunInfo, TopicInfo
from driftwatch.stance import Probs

PARKS = """\
id: two
version: 1.0.0
language: en
licence: Apache-2.0
source: Written for a test.
topics:
  - id: parks
    title: Parks
    poles: [more nature, more building]
    items:
"""
TWO_PARKS = f"""\
{PARKS}      - {{id: p1, sides: [I want more trees in the street., Our street needs new houses.]}}
      - {{id: p2, sides: [Our valley needs more trees., I want new houses in the valley.]}}
"""
WATCHED = """\
pack: pack.yaml
probes: [{statement: {naysaying_items: 0}}]
schedule: {every_steps: 1, early_dense: false, budget: null}
exporters: []
output_dir: runs
run: watched
"""


def run_info(run="r1", **changes):
    fields = {
        "created": 1_700_000_000.0,
        "model": "tiny",
        "pack": "tiny",
        "pack_version": "1.0.0",
        "pack_digest": "sha256:0",
        "topics": (
            TopicInfo("parks", "Parks", ("more nature", "more building"), False, 6),
            TopicInfo("tea", "Tea", ("tea", "coffee"), True, 6),
        ),
        "version": "0.1.0",
        "identity": {"pack": "sha256:0"},
    }
    return RunInfo(run=run, **{**fields, **changes})


def record(look=0, step=0, *, run="r1", attempt=0, **changes):
    fields = {
        "phase": "train" if look else "start",
        "timestamp": 1_700_000_000.0 + look,
        "stances": (
            TopicStance(
                "parks",
                "statement",
                Probs(0.2, 0.3, 0.5),
                Probs(0.1, 0.2, 0.4),
                Probs(0.3, 0.4, 0.6),
                -0.4,
                0.5,
                None,
                None,
                1.0,
                6,
                0,
            ),
        ),
        "drifts": (
            Drift(
                "parks",
                "statement",
                "start",
                magnitude=Probs(-0.1, 0.0, 0.1),
                total_variation=0.1,
                score_shift=-0.2,
                interval=Interval(-0.3, -0.1),
                num_items=6,
            ),
        ),
        "floors": (Floor("numeric", "statement", 0.001, 0.002, 0.001, "parks"),),
        "cost": Cost(seconds={"screen": 1.5}, overhead_ratio=0.01, tokens_scored=100, observations_total=look + 1),
    }
    return Record(run=run, attempt=attempt, look=look, step=step, **{**fields, **changes})
