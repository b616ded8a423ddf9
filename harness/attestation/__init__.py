"""The evidence of a moved pointer: the record, its signature, and how it is verified.

Below ``harness.policy``, since a rule verifies at each merge what ``harness.promotion`` writes.
"""
