"""How many requests it takes to claim a percentile: the early stopping of MLPerf's LoadGen.

"99 % are within the limit" is believed with confidence c once so few violations would be
unlikely (at most 1 - c) if the true fraction were any lower. With n requests and t violations that
is P(Binomial(n, 1 - percentile) ≤ t) ≤ 1 - c. No violation in 459 requests carries p99 at 0.99;
one takes 662. Pure.
"""

import math


def at_most(violations: int, requests: int, fraction: float) -> float:
    """P(Binomial(requests, fraction) ≤ violations)."""
    if violations >= requests:
        return 1.0
    log_hit, log_miss = math.log(fraction), math.log1p(-fraction)
    terms = [
        math.lgamma(requests + 1)
        - math.lgamma(k + 1)
        - math.lgamma(requests - k + 1)
        + k * log_hit
        + (requests - k) * log_miss
        for k in range(violations + 1)
    ]
    highest = max(terms)
    return min(1.0, math.exp(highest) * math.fsum(math.exp(term - highest) for term in terms))


def carries(violations: int, requests: int, quantile: float, confidence: float) -> bool:
    """Whether ``requests`` with ``violations`` carry the claim."""
    return at_most(violations, requests, 1 - quantile) <= 1 - confidence


def smallest_sample(violations: int, quantile: float, confidence: float) -> int:
    """The fewest requests that carry the claim with ``violations`` among them."""
    low, high = violations, max(2, violations * 2)
    while not carries(violations, high, quantile, confidence):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if carries(violations, middle, quantile, confidence):
            high = middle
        else:
            low = middle
    return high
