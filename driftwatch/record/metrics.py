"""The metric catalogue: the only file in which a metric's name is written.

Exporters turn `samples` (samples.py) into their format; dashboards, rules and docs/metrics.md are generated from
`CATALOGUE`. No step, item, prompt or free text is a label. The run's attributes are labels of one info metric, which
queries join, and the names of the poles are labels of another.
"""

from dataclasses import dataclass
from typing import Literal

from driftwatch.wording import LABELS, REASONS, RUN_STATES, TOPIC_STATES, VERDICT_STATES

SHOWN_STATES = (*TOPIC_STATES, "cannot_tell")  # of a topic; the last one if the verdict cannot tell anything of it


@dataclass(frozen=True, slots=True)
class Metric:
    """One entry of the catalogue.

    Attributes:
        name: Full Prometheus name.
        labels: Labels in addition to `run`, which every metric carries.
        help: What the metric is, with unit and range, in a sentence.
    """

    name: str
    kind: Literal["gauge", "counter"]
    labels: tuple[str, ...]
    help: str


def _gauge(name: str, labels: str, text: str) -> Metric:
    return Metric(f"driftwatch_{name}", "gauge", tuple(labels.split()), text)


def _counter(name: str, labels: str, text: str) -> Metric:
    return Metric(f"driftwatch_{name}", "counter", tuple(labels.split()), text)


RUN_INFO = _gauge(
    "run_info",
    "model pack pack_version version trainer alerting_baseline",
    "Attributes of the run, as labels; the value is always 1.",
)
RUN_STATE = _gauge("run_state", "state", f"1 for the run's current state, 0 for the others: {', '.join(RUN_STATES)}.")
VERDICT = _gauge(
    "verdict",
    "verdict",
    f"1 for the run's verdict after the last observation, 0 for the others: {', '.join(VERDICT_STATES)}; 'ok' only "
    "where that was measured.",
)
CANNOT_TELL = _gauge(
    "cannot_tell",
    "reason",
    f"1 for the reason why nothing can be told about a run's values: {', '.join(REASONS)}; absent where something can "
    "be told.",
)
MODEL_FINITE = _gauge(
    "model_finite",
    "",
    "1 while the model's weights and logits are finite, 0 from the observation on that found them not finite or beyond "
    "all measure.",
)
NOT_FINITE_SINCE = _gauge(
    "model_not_finite_since_step",
    "",
    "Optimizer step of the observation that found the model not finite; absent while it is finite.",
)
TOPIC_INFO = _gauge(
    "topic_info",
    "topic support oppose control",
    "Names of the poles toward which 'support' and 'oppose' point on a topic, and whether it is a control topic, "
    "without moral content; the value is always 1.",
)
OBSERVED_STEP = _gauge("observed_step", "", "Optimizer steps done at the last observation.")
ATTEMPT = _gauge("attempt", "", "The run's attempt number: 0 for its first start, one more for every resume.")
LAST_OBSERVATION = _gauge("last_observation_timestamp_seconds", "", "Unix time at which the last observation ended.")
HEARTBEAT = _gauge(
    "heartbeat_timestamp_seconds",
    "",
    "Unix time at which the trainer was last known to live. Pushed values need it, since they outlive their process.",
)
DURATION = _gauge(
    "observation_duration_seconds",
    "stage",
    "Time that the last observation took, by stage: screen, replies, engine, statistics.",
)
OVERHEAD = _gauge("overhead_ratio", "", "Time in driftwatch as a share of the wall time since training began, 0 to 1.")
TOKENS = _gauge("observation_tokens", "", "Tokens that the screen computed at the last observation.")
OBSERVATIONS = _counter("observations_total", "", "Observations of this run, including those of resumed attempts.")
PROBE_FAILURES = _counter(
    "probe_failures_total",
    "probe reason",
    "Observations, or parts of them, that failed, by probe and kind of reason.",
)
EXPORT_FAILURES = _counter("export_failures_total", "exporter", "Records that an exporter could not deliver.")
STANCE = _gauge(
    "stance_ratio",
    "topic probe stance",
    "Share of a stance on a topic, 0 to 1; 'support' points toward the topic's first pole.",
)
STANCE_LOWER = _gauge(
    "stance_lower_ratio",
    "topic probe stance",
    "Lower end of the 95 % interval of a stance's share (bootstrap over items).",
)
STANCE_UPPER = _gauge(
    "stance_upper_ratio",
    "topic probe stance",
    "Upper end of the 95 % interval of a stance's share (bootstrap over items).",
)
COVERAGE = _gauge(
    "stance_coverage_ratio", "topic probe", "Share of the measurements behind a topic's stance that succeeded, 0 to 1."
)
UNSCORED = _gauge("stance_unscored_items", "topic probe", "Items of a topic without a figure at the last observation.")
REFUSAL = _gauge("refusal_ratio", "topic", "Share of the sampled replies that refuse to answer, 0 to 1.")
UNREAD = _gauge(
    "unclassified_ratio",
    "topic",
    "Share of the sampled replies that are unclassified, 0 to 1; refusals count apart.",
)
OFF_TOPIC = _gauge(
    "off_topic_ratio",
    "topic",
    "Share of the replies judged at the last observation that are about something else, 0 to 1.",
)
HEDGING = _gauge(
    "hedging_ratio",
    "topic",
    "Share of the replies judged at the last observation that sound unsure, 0 to 1; a response style, not a value.",
)
ORDER_PREFERENCE = _gauge(
    "order_preference",
    "topic",
    "Preference for the side that stood first, -1 to 1, over the replies judged at the last observation that take a "
    "side; a response style, not a value.",
)
CUT = _gauge(
    "cut_ratio", "topic", "Share of the replies judged at the last observation that the limit on tokens ended, 0 to 1."
)
REPLY_TOKENS = _gauge("reply_tokens", "topic", "Mean length of the replies judged at the last observation, in tokens.")
REPLY_ENTROPY = _gauge(
    "reply_entropy_nats",
    "topic",
    "Mean entropy of the next-token distribution over the replies judged at the last observation, in nats.",
)
NAYSAYING = _gauge(
    "naysaying_ratio",
    "topic",
    "Probability that the model disagrees with a side, whichever side it is, when asked to agree, 0 to 1; a response "
    "style, not a value.",
)
MAGNITUDE = _gauge(
    "drift_magnitude",
    "topic probe baseline stance",
    "Drift magnitude: change of a stance's share since the baseline, -1 to 1.",
)
MAGNITUDE_LOWER = _gauge(
    "drift_magnitude_lower",
    "topic probe baseline stance",
    "Lower end of the drift magnitude's 95 % interval. For the screen it is an interval over items; for judged replies "
    "(probe confirm) it is a confidence sequence, which holds at all observations and for all topics of the run at "
    "once.",
)
MAGNITUDE_UPPER = _gauge(
    "drift_magnitude_upper",
    "topic probe baseline stance",
    "Upper end of the drift magnitude's 95 % interval. For the screen it is an interval over items; for judged replies "
    "(probe confirm) it is a confidence sequence, which holds at all observations and for all topics of the run at "
    "once.",
)
NET_SHIFT = _gauge(
    "drift_net_shift_ratio",
    "topic baseline",
    "Net shift, the figure of verdicts: share of the judged replies of the last five observations that changed sides "
    "since the baseline, -1 to 1, positive toward the first pole.",
)
NET_SHIFT_LOWER = _gauge(
    "drift_net_shift_lower_ratio",
    "topic baseline",
    "Lower end of the net shift's 95 % interval, which holds at all observations and for all topics of the run at "
    "once.",
)
NET_SHIFT_UPPER = _gauge(
    "drift_net_shift_upper_ratio",
    "topic baseline",
    "Upper end of the net shift's 95 % interval, which holds at all observations and for all topics of the run at "
    "once.",
)
SCORE_SHIFT = _gauge(
    "drift_score_shift",
    "topic probe baseline",
    "Change of the screen's P(support) - P(oppose) since the baseline, -2 to 2, positive toward the first pole; judged "
    "replies have the net shift instead.",
)
SCORE_SHIFT_LOWER = _gauge(
    "drift_score_shift_lower",
    "topic probe baseline",
    "Lower end of the score shift's 95 % interval over items.",
)
SCORE_SHIFT_UPPER = _gauge(
    "drift_score_shift_upper",
    "topic probe baseline",
    "Upper end of the score shift's 95 % interval over items.",
)
LOG_ODDS_SHIFT = _gauge(
    "drift_log_odds_shift_nats",
    "topic probe baseline",
    "Change of the log-odds between the poles since the baseline, nats per token, positive toward the first pole.",
)
TOTAL_VARIATION = _gauge(
    "drift_total_variation_ratio",
    "topic probe baseline",
    "Total variation between the stance shares now and at the baseline, 0 to 1.",
)
WASSERSTEIN = _gauge(
    "drift_wasserstein",
    "topic probe baseline",
    "Ordinal Wasserstein distance between the stance shares now and at the baseline, 0 to 2; oppose, neutral and "
    "support lie one step apart.",
)
FLIPPED = _gauge(
    "drift_flipped_ratio",
    "topic probe baseline",
    "Share of a topic's items whose likeliest stance differs from that at the baseline, 0 to 1.",
)
NAYSAYING_SHIFT = _gauge(
    "drift_naysaying_shift",
    "topic baseline",
    "Change of naysaying since the baseline, -1 to 1; a response style, not a value.",
)
REFUSAL_SHIFT = _gauge(
    "drift_refusal_shift",
    "topic baseline",
    "Change of the share of refusals since the baseline, -1 to 1; a response style, not a value.",
)
UNREAD_SHIFT = _gauge(
    "drift_unclassified_shift",
    "topic baseline",
    "Change of the share of unclassified replies since the baseline, -1 to 1.",
)
OFF_TOPIC_SHIFT = _gauge(
    "drift_off_topic_shift",
    "topic baseline",
    "Share of off-topic replies at the last observation, less that of the baseline on the same draws, -1 to 1.",
)
HEDGING_SHIFT = _gauge(
    "drift_hedging_shift",
    "topic baseline",
    "Share of replies that sound unsure at the last observation, less that of the baseline on the same draws, -1 to 1; "
    "a response style, not a value.",
)
ORDER_PREFERENCE_SHIFT = _gauge(
    "drift_order_preference_shift",
    "topic baseline",
    "Preference for the side that stood first at the last observation, less that of the baseline on the same draws, -2 "
    "to 2; a response style, not a value.",
)
CUT_SHIFT = _gauge(
    "drift_cut_shift",
    "topic baseline",
    "Share of replies that the limit on tokens ended at the last observation, less that of the baseline on the same "
    "draws, -1 to 1.",
)
REPLY_TOKENS_SHIFT = _gauge(
    "drift_reply_tokens_shift",
    "topic baseline",
    "Mean length of the replies at the last observation, less that of the baseline on the same draws, in tokens.",
)
REPLY_ENTROPY_SHIFT = _gauge(
    "drift_reply_entropy_shift_nats",
    "topic baseline",
    "Mean next-token entropy of the replies at the last observation, less that of the baseline on the same draws, in "
    "nats.",
)
FLOOR = _gauge(
    "noise_floor",
    "probe kind",
    "Largest score shift that means nothing. By kind, numeric: the same model is asked twice; placebo: the largest "
    "shift of a control topic; judge: the same replies are judged twice, which says nothing about the noise of "
    "sampling.",
)
FLOOR_LOG_ODDS = _gauge(
    "noise_floor_log_odds_nats",
    "probe kind",
    "Largest log-odds shift of the screen that means nothing, nats per token; the kinds are those of the noise floor.",
)
EVIDENCE = _gauge(
    "evidence_log10",
    "topic kind",
    "Evidence that what can be read has moved: the base 10 logarithm of an e-value.",
)
VALUE_EVIDENCE = _gauge(
    "value_evidence_log10",
    "topic kind",
    "Evidence that a topic has moved, even if every stance lost, or gained, would explain the move away: the base 10 "
    "logarithm of an e-value.",
)
BEYOND_TOLERANCE_EVIDENCE = _gauge(
    "beyond_tolerance_evidence_log10",
    "topic kind",
    "Evidence that a topic has moved by more than the drift that is tolerated on it: the base 10 logarithm of an "
    "e-value.",
)
THRESHOLD = _gauge(
    "evidence_threshold_log10",
    "",
    "Evidence at which an alert is raised: the base 10 logarithm of (hypotheses not yet rejected) / alpha.",
)
TOLERANCE = _gauge(
    "tolerated_drift",
    "topic",
    "Change of a stance's share beyond which an alert on a topic is 'beyond_tolerance', 0 to 1; control topics have "
    "none.",
)
ALPHA = _gauge("alpha_ratio", "", "Requested probability of any false value alert in the whole run.")
TOPIC_STATE = _gauge(
    "topic_state",
    "topic kind state",
    f"1 for the current state, 0 for the others: {', '.join(SHOWN_STATES)}. 'cannot_tell' is a value topic without an "
    "alert about which the run's verdict can tell nothing.",
)
TOPIC_LABEL = _gauge(
    "topic_label",
    "topic kind label",
    f"1 for an alert's label, 0 for the others: {', '.join(LABELS)}; absent before an alert.",
)
ONSET = _gauge(
    "onset_step",
    "topic kind",
    "Estimated optimizer step at which a topic in alert began to move; absent before an alert.",
)
SIGN = _gauge(
    "evidence_sign",
    "topic kind",
    "Sign of the evidence that raised an alert: 1 toward the first pole or toward taking no side, -1 the other way; "
    "absent before an alert.",
)
DRAWS = _gauge("evidence_draws", "topic kind", "Pairs of replies behind the evidence so far.")
REPLIES_LEFT = _gauge(
    "baseline_replies_left",
    "topic",
    "Replies of the baseline that were decoded ahead and are not used yet; at 0 the evidence on a topic is frozen. "
    "Absent where the baseline model is asked on demand.",
)
DETECTABLE = _gauge(
    "minimum_detectable_drift",
    "topic kind",
    "Smallest shift of the draws' mean that could have been found so far; it does not certify that nothing moved.",
)
AGREEMENT = _gauge(
    "probe_agreement_ratio", "probe", "Correlation over items of a probe with the judged replies, -1 to 1."
)
JUDGE_DISAGREEMENT = _gauge(
    "judge_disagreement_ratio",
    "",
    "Share of the replies at the last observation on which the judges of a panel differ, among those that two or more "
    "of them read, 0 to 1; absent where there is only one judge.",
)
JUDGE_KAPPA = _gauge(
    "judge_kappa",
    "pair",
    "Cohen's kappa of two judges of a panel over the replies that both read at the last observation, -1 to 1; judges "
    "are named by kind.",
)
ABSTAINED = _gauge(
    "abstained_ratio",
    "kind side",
    "Share of the replies at the last observation that the judge left unclassified, 0 to 1, by kind of reason "
    "(unclear, tie, refused, no_verdict, unanswered) and side (now, baseline).",
)
JUDGES_ABSENT = _gauge(
    "judges_absent",
    "",
    "Number of judges of a panel that failed at the last observation; absent where there is only one judge.",
)

# Figures of a record's response styles that no other metric gives: the name in `drift.style.FIGURES`, the metric of the
# figure now, and the metric of its shift.
STYLES: tuple[tuple[str, Metric, Metric], ...] = (
    ("off_topic", OFF_TOPIC, OFF_TOPIC_SHIFT),
    ("hedging", HEDGING, HEDGING_SHIFT),
    ("order_preference", ORDER_PREFERENCE, ORDER_PREFERENCE_SHIFT),
    ("cut", CUT, CUT_SHIFT),
    ("num_tokens", REPLY_TOKENS, REPLY_TOKENS_SHIFT),
    ("entropy", REPLY_ENTROPY, REPLY_ENTROPY_SHIFT),
)
CATALOGUE: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
