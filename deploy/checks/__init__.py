"""The ladder of checks over `deploy/k8s`, without a cluster: `python -m deploy.checks`."""
