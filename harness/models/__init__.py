"""The models: what is served, from which bytes, and what each must answer.

catalog    models/<name>/model.yaml, one file per model
source     a file of a model: next to its model.yaml, or shipped by an installed package
artifact   weights and code as files, ready to be packed
archive    the model archive (MAR): packed, made canonical, read back
lock       models/lock.yaml: name → version, file, sha256, size
build      from the catalog to build/models: archives, lock and reference answers
reference  what each sample must be answered, by calling the model without TorchServe
samples    the prepared requests, for whoever sends them
verify     whether the archives are what the locks say
answer     whether an answer is right

Only artifact and reference import torch, and only when they are called.
"""
