"""GKMNet sweeps and ablations: data, model, training, studies, registry and report."""
