"""Measures how soon after the last sound of a sentence the right light comes."""
