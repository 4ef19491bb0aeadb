"""Commands that detect emotions."""
