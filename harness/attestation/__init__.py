"""What stands beside a moved pointer: the record, its signature, and who verifies it against what.

Below ``harness.policy``, since a rule verifies at each merge what ``harness.promotion`` writes.
"""
