"""CloakBench: this engine, its peers and controls on the same pictures, targets and encoder, in one run."""
