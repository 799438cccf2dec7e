"""The gateway: tasks, server and site services, and the edge in front of every service."""
