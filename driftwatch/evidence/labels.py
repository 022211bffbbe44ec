"""Labels: what kind of thing an alert is about, with hysteresis, so that one lasting step gives one notice.

A label is given on evidence of its own, at 20 : 1. Near that line evidence goes to and fro, so a label is held once it
is given. It gives way only to another label that has its own evidence, and between "specific" and "general" only where
the evidence for "specific" has clearly changed. All this does not change what first makes an alert specific, so the
stated rate of false alerts holds.

Shape letters as in `evidence`: … batch, V value topics, C controls, K kinds.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

LABEL_EVIDENCE = 20.0  # odds that settle a label, and that make a topic watched
# Odds of "moved more than every control". Below the first, "specific" gives way to "general". To become "specific",
# "general" needs the second, which is five times what a first label needs. Both are chosen.
KEEP_EVIDENCE = 1.0
SWITCH_EVIDENCE = 100.0
ALIKE = 0.5  # a control moved alike if it moved by at least this share of the topic's shift
NO_LABEL, SPECIFIC, GENERAL, UNREADABLE, UNSETTLED = range(5)  # values of `label_VK`


class Grounds(NamedTuple):
    """The grounds on which labels are decided, each of shape (…, V, K).

    Attributes:
        alert: Whether the topic is in alert.
        value: Whether the value counts have reached the threshold as well.
        log_apart: Natural log of the evidence that the topic moved more than the control that moved most alike. It is
            −inf without controls, since nothing then tells a change of values from a change of response style.
        control_alike: Whether some control moved, by evidence of its own, and moved alike.
        lost: Whether the topic's own replies began, or ceased, to take a readable stance.
    """

    alert: Mask
    value: Mask
    log_apart: Floats
    control_alike: Mask
    lost: Mask


def settled(held_VK: Ints, grounds: Grounds) -> Ints:
    """The labels after one more look.

    Args:
        held_VK: Labels after the look before; NO_LABEL before an alert.
        grounds: Grounds after this look.
    """
    alert, value, log_apart, control_alike, lost = grounds
    specific = value & (log_apart >= math.log(LABEL_EVIDENCE))
    general = value & ~specific & control_alike
    unreadable = alert & ~value & lost
    fresh = np.select([~alert, specific, general, unreadable], [NO_LABEL, SPECIFIC, GENERAL, UNREADABLE], UNSETTLED)
    stays_specific = (held_VK == SPECIFIC) & ~((log_apart < math.log(KEEP_EVIDENCE)) & control_alike)
    stays_general = (held_VK == GENERAL) & (log_apart < math.log(SWITCH_EVIDENCE))
    # Without value evidence only the readability of the replies moved. Once there is value evidence, "unreadable" would
    # deny what is known.
    stays_unreadable = (held_VK == UNREADABLE) & ~value
    return np.select([stays_specific, stays_general, stays_unreadable], [SPECIFIC, GENERAL, UNREADABLE], fresh).astype(
        np.int64
    )
