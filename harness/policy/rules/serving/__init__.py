"""TorchServe and its models: settings, workers, start and stop."""
