"""Spans of the requests that their sender samples (W3C Trace Context), for a collector (OTLP).

    worker/sitecustomize   in each worker: times batches and the handler's steps, prints records
    log_lines              joins the records with what TorchServe logs of each request: Batch
    spans                  a Batch as spans, in OTLP's JSON
    exporter               sends them; what cannot be sent is dropped and counted

The launcher starts ``python -m trace_export URL`` and writes TorchServe's log to it: a process of
its own, so that nothing here can hold up or end the launcher. Standard library and relative
imports only, as there; docs/decisions/0027-spans.md says why not OpenTelemetry's SDK.
"""
