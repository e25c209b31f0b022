"""PostgreSQL, S3, MLflow and Ray as a team has them, on this machine alone: `make stack`.

Everything listens on 127.0.0.1 and asks for a password, a key or a token that was drawn at random.
`python -m cluster.stack --help` lists what else can be done with it, docs/cluster.md says how.
"""
