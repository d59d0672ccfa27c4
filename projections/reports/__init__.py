"""What people and programs are given to read: text for people, json, ndjson and csv for programs."""
