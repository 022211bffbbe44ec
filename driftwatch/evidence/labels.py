"""Labels: what kind of thing an alert is about, with hysteresis, so that one lasting step is one notice.

A label is taken on evidence of its own, at 20 : 1. Near that line evidence goes to and fro, so a label that was taken
is held: it gives way only to another one that has its own evidence, and between "specific" and "general" only where the
evidence for the first has clearly changed. What first makes an alert specific is untouched by this, and so is the
stated rate of false ones.

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
KEEP_EVIDENCE = 1.0  # odds of "moved more than every control" below which "specific" gives way to "general", and
SWITCH_EVIDENCE = 100.0  # that "general" needs to become "specific": five times what a first label needs; both chosen
ALIKE = 0.5  # a control that moved at least this share of the topic's shift moved alike
NO_LABEL, SPECIFIC, GENERAL, UNREADABLE, UNSETTLED = range(5)  # values of `label_VK`


class Grounds(NamedTuple):
    """What labels are decided by, each of shape (…, V, K).

    Attributes:
        alert: Whether it is in alert.
        value: Whether the value counts have reached the threshold as well.
        log_apart: Natural log of the evidence that it moved more than the control that moved most alike; −inf without
            controls, since nothing then tells a change of values from a change of manners.
        control_alike: Whether some control moved, by evidence of its own, and alike.
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
        held_VK: Those after the look before; NO_LABEL before an alert.
        grounds: After this look.
    """
    alert, value, log_apart, control_alike, lost = grounds
    specific = value & (log_apart >= math.log(LABEL_EVIDENCE))
    general = value & ~specific & control_alike
    unreadable = alert & ~value & lost
    fresh = np.select([~alert, specific, general, unreadable], [NO_LABEL, SPECIFIC, GENERAL, UNREADABLE], UNSETTLED)
    stays_specific = (held_VK == SPECIFIC) & ~((log_apart < math.log(KEEP_EVIDENCE)) & control_alike)
    stays_general = (held_VK == GENERAL) & (log_apart < math.log(SWITCH_EVIDENCE))
    # Without value evidence the replies' readability is all that moved; with it, that label would deny what is known.
    stays_unreadable = (held_VK == UNREADABLE) & ~value
    return np.select([stays_specific, stays_general, stays_unreadable], [SPECIFIC, GENERAL, UNREADABLE], fresh).astype(
        np.int64
    )
