"""One word for a finding, from numbers that are printed beside it, by a rule that anyone can check.

With G the gain (transfer - baseline), D the gap (transfer - direct), their two-sided 95 % intervals, and a margin m:

    negative      the interval of G lies below 0
    strong        the interval of G lies above 0, and that of D lies above -m (transfer is not inferior to direct)
    weak          the interval of G lies above 0, otherwise
    none          the interval of G includes 0 and lies inside (-m, m): equivalence by two one-sided tests
    inconclusive  all else: the data do not tell, or there is no interval

A wide interval around 0 is "inconclusive", never "none": not seeing an effect is not seeing that there is none.
"""

LABELS = ("strong", "weak", "none", "negative", "inconclusive")


def label(
    low: float | None, high: float | None, gap_low: float | None, margin: float, reason: str | None = None
) -> tuple[str, str]:
    """Return the label and a line that says why.

    `low`, `high`: interval of the gain; `gap_low`: lower end of the interval of transfer - direct (None: not known);
    all in fractions, as `margin` (> 0). `reason` says why there is no interval.
    """
    if low is None or high is None:
        return "inconclusive", f"there is no interval for the gain: {reason or 'not measured'}"
    found = f"the interval of the gain [{100 * low:+.1f}, {100 * high:+.1f}]"
    points = f"{100 * margin:g} points"
    if high < 0:
        return "negative", f"{found} lies below 0"
    if low > 0:
        if gap_low is None:
            return "weak", f"{found} lies above 0; direct is not known, so it cannot be called strong"
        least = f"transfer - direct may be as low as {100 * gap_low:+.1f}"
        if gap_low > -margin:
            return "strong", f"{found} lies above 0, and {least}, no more than {points} below"
        return "weak", f"{found} lies above 0, but {least}, {points} or more below"
    if low > -margin and high < margin:
        return "none", f"{found} includes 0 and lies within {points} of it"
    return "inconclusive", f"{found} includes 0 and reaches beyond {points}: more items or seeds are needed"
