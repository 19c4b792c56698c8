"""One module per client, each run in the environment of what it tries; nothing of HiveTrace but where it is tried."""
