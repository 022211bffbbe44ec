"""Records that raise alerts."""

from driftwatch.record.record import Alert, TopicEvidence
from support.builders import record


def alert(text="parks moved toward 'more building' by -0.31", topic="parks"):
    return Alert(topic, "direction", "alert", "specific", "warning", text)


def evidence():
    return TopicEvidence(
        topic="parks",
        kind="direction",
        log10_e_value=3.5,
        log10_value_e_value=3.1,
        log10_material_e_value=None,
        log10_threshold=2.9,
        log10_apart=1.5,
        estimate=-0.31,
        interval=None,
        since_onset=-0.3,
        bound=0.2,
        num_draws=96,
        state="alert",
        label="specific",
        moved_most=None,
        onset_look=3,
        onset_step=40,
        minimum_detectable=None,
        refusal_shift=None,
        off_topic_shift=None,
        unread_shift=None,
        why=None,
    )


def alerted(*texts, look=4):
    return record(look, 10 * look, alerts=tuple(map(alert, texts or ("parks moved",))), evidence=(evidence(),))
