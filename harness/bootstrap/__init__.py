"""From an empty AWS account to the first sync, one step after the other, and back.

    installation → steps (each: inspect, apply) → step.plan, step.apply

A step inspects the account and reports that it is done, what it would change, or what only a person
can do. Nothing is remembered between runs: CloudFormation, EKS, EFS, Git and the cluster are read
again each time, so a run that was killed is finished by the next one.

No credential is ever written to a file, shown, or given to another program.
"""
