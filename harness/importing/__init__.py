"""What somebody's TorchServe is started with, turned into an environment of this repository.

    imported = reader.read(["config.properties", "Dockerfile"], like)
    imported.keys                                # each key, and what became of it
    write.apply(repository, imported, Target("mine", "staging"))    # all or nothing

docs/import.md says what is read, and what becomes of it. From a word to a source: ``sources``, with
a reader for each kind; then ``merge``, ``startup`` (the models), ``outcome``, ``write``.
"""
