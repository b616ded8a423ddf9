"""Judges what was rendered. Rules are pure: they read objects and yield findings, nothing else.

    rules     what must hold: one package per subject
    facts     what rules read out of environments: pods, references, routes, node capacity
    recorded  what is recorded of EC2, charts and exporters, and what writes the records

The modules here are the engine: they load rules, evaluate them, and report.
"""
