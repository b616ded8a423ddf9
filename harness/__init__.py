"""The harness: checks the manifests, builds the models, serves them, loads them, promotes them.

Layers, top to bottom; imports only ever point down (``pyproject.toml`` has the contract that
CI runs):

    cli         arguments → one call → what is printed, and the exit code
    bootstrap   an empty AWS account → the first sync, step by step
    promotion   gates, evidence and the one commit that moves a pointer
    smoke       live checks of an installation
    cluster     Kubernetes and Flux on this machine, following the working tree
    review      what people read of a change: the comment, the notes
    loadtest    profile → open-loop load → verdict → report
    policy      rendered objects → findings
    gates       what a release needs before an environment takes it; freeze is its calendar
    schema      strict schemas from pinned modules, and the traps of YAML
    site        what only the owner of a cluster knows, written where it belongs
    render      what Flux and Helm would apply, each field traced to its source line
    server      the real TorchServe on this machine, behind the launcher
    efs, store  the file system of the model store, and what fills it
    snapshot    models × lock × serving.yaml → config.properties, model-files.yaml
    models      model.yaml → MAR, lock.yaml
    chart       the chart's schema, README and version from its documented values
    registry    images by digest: are they there, who signed them
    tools, aws  the pinned external programs; the one way to the AWS API
    core        errors, files, documents, commands: knows nothing of TorchServe

``launcher`` stands apart: PID 1 of the container, standard library only.

Exit codes: 0 good · 1 the subject is bad · 2 the call was wrong · 3 no judgement was possible.
"""
