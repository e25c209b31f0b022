"""Models, data sets and noise levels in; scores of every photograph, tables and entries in MLflow out."""
