"""How deliveries get into the store: from logs, over HTTP, and from another store."""
