"""What somebody's TorchServe is configured with, turned into an environment of this repository.

    configuration = merge.merge([sources.read("config.properties"), sources.read("Dockerfile")])
    imported = outcome.of(configuration, ...)    # each key, and what became of it
    write.apply(repository, imported, ...)       # all or nothing

docs/import.md says what is read, and what becomes of it.
"""
