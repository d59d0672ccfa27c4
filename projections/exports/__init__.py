"""Deliveries and rows for other programs: JSON, CSV, Parquet, and webhooks posted to a handler."""
