"""Real servers on this machine from packages: RabbitMQ, MongoDB, Redis and an S3 server, for trying and for tests.

`python -m deploy.stack` runs all four in the foreground; tests start the same classes on free ports.
"""
