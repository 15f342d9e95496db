"""The leave-one-subject-out protocol: settings, folds, training, records, metrics."""
