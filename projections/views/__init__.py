"""The read models in ``views.db``: kept up with the store, rebuilt, compared and repaired."""
