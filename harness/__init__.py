"""The harness: checks the manifests, builds the models, serves them, loads them, promotes them.

Layers, top to bottom; imports only ever point down (``pyproject.toml`` has the contract that
CI runs):

    cli         arguments → one call → what is printed, and the exit code
    loadtest    profile → open-loop load → verdict → report
    server      the real TorchServe on this machine, behind the launcher
    snapshot    models × lock × serving.yaml → config.properties, model-files.yaml
    models      model.yaml → MAR, lock.yaml
    core        errors, files, documents, commands: knows nothing of TorchServe

``launcher`` stands apart: PID 1 of the container, standard library only.

Exit codes: 0 good · 1 the subject is bad · 2 the call was wrong · 3 no judgement was possible.
"""
