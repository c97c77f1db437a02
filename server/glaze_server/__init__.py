"""The Glaze daemon: jobs come in over ZeroMQ, one worker process computes them."""
