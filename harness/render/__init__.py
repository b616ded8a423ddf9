"""Every environment as its cluster will hold it, rendered in Flux's order and by its rules.

Runs kustomize, helm and git; needs no cluster and no network. Each object remembers the files
that made it, so that a finding names a line somebody can edit.
"""
