"""What was received: the envelope around a webhook, the webhook in it, and whose signature it carries."""
