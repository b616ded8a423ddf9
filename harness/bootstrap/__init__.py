"""From an empty AWS account to the first sync, one step after the other, and back.

    installation → steps (each: look, do) → step.plan, step.apply

A step looks at the world and says whether what it is for is so already, what it would change, or
what only a person can do. Nothing is remembered between runs: CloudFormation, EKS, EFS, Git and
the cluster are asked again each time, so a run that was killed is finished by the next one.

No credential is ever written to a file, shown, or given to another program.
"""
