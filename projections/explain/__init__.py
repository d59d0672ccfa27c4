"""What the tracker believes, and why: sessions and findings as values, hypotheses, lifecycles, windows."""
