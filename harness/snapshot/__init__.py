"""TorchServe's configuration as a pure function of the models, the lock and serving.yaml.

properties      the format: java.util.Properties, read and written exactly
serving         apps/torchserve/<env>/<group>/serving.yaml, the settings of a group
routes          httproute.yaml and grpcroute.yaml: which requests the gateway hands to a group
model_snapshot  the value of ``model_snapshot``: which models start, and how
config          config.properties and model-files.yaml, and what a local run changes
preflight       what TorchServe would get wrong, found before it starts

config.build(lock, serving.load(path, catalog)).config_properties()
"""
