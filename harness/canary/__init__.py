"""A canary's golden gate: whether a release that is about to serve gives the correct answers."""
