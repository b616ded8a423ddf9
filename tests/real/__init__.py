"""Real pods under load: what the scenarios of tests/e2e that need real nodes share."""
