"""An environment's SLOs, watched in production: error budgets, and alerts on how fast they burn.

The rules are generated from the profile of its load test, as apps/torchserve/slos/<env>.
"""
