"""The read side: what can be said about the deliveries in the store, to people and to machines."""
