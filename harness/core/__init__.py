"""What every other package stands on. Nothing in here knows TorchServe, Flux or AWS."""
