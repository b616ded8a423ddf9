"""The harness: checks the manifests, builds the models, serves them, loads them, promotes them.

Layers, top to bottom; imports only ever point down (``pyproject.toml`` has the contract that
CI runs):

    cli              arguments → one call → what is printed, and the exit code
    bootstrap        an empty AWS account → the first sync, step by step
    importing        whatever a TorchServe is started with → an environment
    promotion        gates, evidence and the one commit that moves a pointer
    audit            known vulnerabilities of what an image carries
    smoke            live checks of an installation
    local_cluster    Kubernetes and Flux on this machine, following the working tree
    review           what people read of a change: the comment, the notes
    kubernetes       any cluster that runs Flux: API, kinds, reconciliation, status
    burn_rate        a profile's SLOs → error budgets and alerts on how fast they burn
    loadtest         profile → open-loop load → result → report
    policy           rendered objects → findings
    efs, archives    the file system of the model store, and what fills it
    attestation      signed evidence: written, verified
    schema           strict schemas from pinned modules, and YAML's pitfalls
    settings         site, gates, freeze: files under clusters/ that people write
    render           what Flux and Helm would apply, each field traced to its source line
    canary           are a canary's answers right, for Flagger
    embedded_server  the real TorchServe on this machine, behind the launcher
    snapshot         models × lock × serving.yaml → config.properties, model-files.yaml
    models           model.yaml → MAR, lock.yaml
    chart            the chart's schema, README and version from its documented values
    dashboards       what people write of a dashboard, as Grafana's own JSON
    set_environment  the virtual environment of an image set, on this machine
    image_sets       which packages which groups run: locks, image and environment of each set
    registry         images by digest: are they there, who signed them
    slo              an SLO: what a load test and production are held to
    prometheus       what a cluster's Prometheus knows
    tools, programs  external programs: found or built, and which there are
    aws              the one way to the AWS API
    core             errors, values, files, documents, commands: knows nothing of TorchServe

``launcher`` (PID 1 of the container), ``trace_export`` (its spans), ``model_sync`` (the sync Job)
and ``jars`` stand apart: they run in the image, with the standard library only.

Exit codes: 0 good · 1 check failed · 2 usage error · 3 could not evaluate.
"""
