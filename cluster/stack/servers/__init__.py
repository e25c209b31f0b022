"""A folder, ports and secrets in; how each of the stack's servers is started, and when it is ready, out."""
